# Cached features to a fitted head, and the one step that opens the test split. Both claim every
# core, so that no neighbour disturbs their seconds, which the report compares.


rule head:
    input:
        lambda w: plans.run(w.study, w.run).features.link,
    output:
        fit="results/{study}/runs/{run}/fit.json",
        selection="results/{study}/runs/{run}/selection.csv",
        validation="results/{study}/runs/{run}/validation.npz",
    log:
        "logs/heads/{study}/{run}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    params:
        head=lambda w: plans.run(w.study, w.run).head,
        validation=lambda w: plans.run(w.study, w.run).validation,
        seed=lambda w: plans.run(w.study, w.run).seed,
    script:
        "../scripts/head.py"


rule evaluate:
    input:
        features=lambda w: plans.run(w.study, w.run).features.link,
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
    params:
        estimator=lambda w: plans.run(w.study, w.run).head["settings"].get("estimator"),
    script:
        "../scripts/evaluate.py"


# Learning curves. Only the second of these opens the test split.
rule budget:
    input:
        features=lambda w: plans.run(w.study, w.run).features.link,
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
        features=lambda w: plans.run(w.study, w.run).features.link,
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
