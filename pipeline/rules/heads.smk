# Cached features to a fitted head, and the steps that open the test split. All claim every core, so
# that no neighbour disturbs their seconds, which the report compares. A vote is made of its members'
# files; a backbone is trained further on images, with the head of a run that is there already. How
# much memory and disk there is, and whose, reruns nothing.


rule head:
    input:
        features=lambda w: plans.run(w.study, w.run).links,
        members=lambda w: plans.run(w.study, w.run).of_members("fit.json", "validation.npz"),
        images=lambda w: plans.run(w.study, w.run).images(),
        start=lambda w: plans.run(w.study, w.run).start_files,
        promise=lambda w: (
            plans.study(w.study).promise_file if plans.run(w.study, w.run).tune else []
        ),
    output:
        fit="results/{study}/runs/{run}/fit.json",
        selection=report(
            "results/{study}/runs/{run}/selection.csv",
            caption="../report/captions/selection.rst",
            category="{study}",
            subcategory="settings that were tried",
            labels={"run": "{run}"},
        ),
        validation="results/{study}/runs/{run}/validation.npz",
    log:
        "logs/heads/{study}/{run}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    resources:
        memory=lambda w: int(plans.study(w.study).memory or 0),
        scheduler=lambda w: plans.study(w.study).scheduler or "",
        source=lambda w: plans.run(w.study, w.run).source(),
        weights=lambda w: plans.run(w.study, w.run).tune_resource("weights"),
        engine=lambda w: plans.run(w.study, w.run).tune_resource("engine"),
        backbone=lambda w: plans.run(w.study, w.run).tune_resource("file"),
        boundary_bytes=lambda w: int(plans.study(w.study).disk or 0),
    params:
        head=lambda w: plans.run(w.study, w.run).head,
        validation=lambda w: plans.run(w.study, w.run).validation,
        folds=lambda w: plans.run(w.study, w.run).folds,
        seed=lambda w: plans.run(w.study, w.run).seed,
    script:
        "../scripts/head.py"


rule evaluate:
    input:
        features=lambda w: plans.run(w.study, w.run).links,
        members=lambda w: plans.run(w.study, w.run).of_members("metrics.json", "predictions.npz"),
        images=lambda w: plans.run(w.study, w.run).images(),
        fit="results/{study}/runs/{run}/fit.json",
        validation="results/{study}/runs/{run}/validation.npz",
    output:
        metrics="results/{study}/runs/{run}/metrics.json",
        predictions="results/{study}/runs/{run}/predictions.npz",
    log:
        "logs/evaluate/{study}/{run}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    resources:
        source=lambda w: plans.run(w.study, w.run).source(w.get("further")),
    params:
        estimator=lambda w: plans.run(w.study, w.run).head["settings"].get("estimator"),
    script:
        "../scripts/evaluate.py"


# The same head on a further test set.
use rule evaluate as evaluate_further with:
    input:
        features=lambda w: plans.run(w.study, w.run).further_links(w.further),
        members=lambda w: plans.run(w.study, w.run).of_members(
            f"metrics.{w.further}.json", f"predictions.{w.further}.npz"
        ),
        images=lambda w: plans.run(w.study, w.run).images(w.further),
        fit="results/{study}/runs/{run}/fit.json",
        validation="results/{study}/runs/{run}/validation.npz",
    output:
        metrics="results/{study}/runs/{run}/metrics.{further}.json",
        predictions="results/{study}/runs/{run}/predictions.{further}.npz",
    log:
        "logs/evaluate/{study}/{run}.{further}.log",


# Learning curves. Only the second of these opens the test split.
rule budget:
    input:
        features=lambda w: plans.run(w.study, w.run).links,
        fit="results/{study}/runs/{run}/fit.json",
    output:
        "results/{study}/runs/{run}/budget.json",
    log:
        "logs/budget/{study}/{run}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    params:
        validation=lambda w: plans.run(w.study, w.run).validation,
    script:
        "../scripts/budget.py"


rule evaluate_budget:
    input:
        features=lambda w: plans.run(w.study, w.run).links,
        curve="results/{study}/runs/{run}/budget.json",
    output:
        "results/{study}/runs/{run}/budget-test.json",
    log:
        "logs/evaluate/{study}/{run}.budget.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    script:
        "../scripts/evaluate_budget.py"
