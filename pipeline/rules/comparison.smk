# All runs of a study to its leaderboard, the comparison of its heads, and its page; and what it says
# of its data.


rule leaderboard:
    input:
        lambda w: plans.study(w.study).metrics,
    output:
        leaderboard=report(
            "results/{study}/leaderboard.csv",
            caption="../report/captions/leaderboard.rst",
            category="{study}",
            labels={"what": "leaderboard"},
        ),
        comparison="results/{study}/comparison.json",
    log:
        "logs/leaderboard/{study}.log",
    conda:
        "../../environment.yaml"
    script:
        "../scripts/leaderboard.py"


rule duplicates:
    input:
        dataset=lambda w: plans.study(w.study).features[0].dataset.link,
        features=lambda w: plans.study(w.study).features[0].link,
    output:
        "results/{study}/duplicates.json",
    log:
        "logs/duplicates/{study}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    script:
        "../scripts/duplicates.py"


rule suspects:
    input:
        features=lambda w: plans.study(w.study).suspects.links,
        fit=lambda w: plans.study(w.study).suspects.folder / "fit.json",
    output:
        report(
            "results/{study}/suspects.csv",
            caption="../report/captions/suspects.rst",
            category="{study}",
            labels={"what": "labels in doubt"},
        ),
    log:
        "logs/suspects/{study}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    params:
        validation=lambda w: plans.study(w.study).suspects.validation,
    script:
        "../scripts/suspects.py"


# Opens the test split once more, to show images of it when all is chosen and evaluated.
rule failures:
    input:
        leaderboard="results/{study}/leaderboard.csv",
        metrics=lambda w: plans.study(w.study).metrics,
        dataset=lambda w: plans.study(w.study).features[0].dataset.link,
    output:
        "results/{study}/failures.json",
    log:
        "logs/failures/{study}.log",
    conda:
        "../../environment.yaml"
    resources:
        source=lambda w: str(plans.study(w.study).features[0].dataset.source_path or ""),
    script:
        "../scripts/failures.py"


# What the best head on cached features sees as alike; of the images that are not test.
rule map:
    input:
        leaderboard="results/{study}/leaderboard.csv",
        metrics=lambda w: plans.study(w.study).metrics,
        features=lambda w: [features.link for features in plans.study(w.study).features],
        dataset=lambda w: plans.study(w.study).features[0].dataset.link,
    output:
        "results/{study}/map.json",
    log:
        "logs/map/{study}.log",
    conda:
        "../../environment.yaml"
    resources:
        source=lambda w: str(plans.study(w.study).features[0].dataset.source_path or ""),
    script:
        "../scripts/map.py"


# Before a backbone is trained further: which of them is likely to be worth it.
rule promise:
    input:
        lambda w: [features.link for features in plans.study(w.study).features],
    output:
        "results/{study}/promise.json",
    log:
        "logs/promise/{study}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    script:
        "../scripts/promise.py"


rule report:
    input:
        study=lambda w: plans.study(w.study).file,
        metrics=lambda w: plans.study(w.study).metrics,
        features=lambda w: [features.link for features in plans.study(w.study).features],
        leaderboard="results/{study}/leaderboard.csv",
        comparison="results/{study}/comparison.json",
        duplicates="results/{study}/duplicates.json",
        dataset=lambda w: plans.study(w.study).features[0].dataset.link,
        suspects=lambda w: plans.study(w.study).suspects_file,
        curves=lambda w: plans.study(w.study).curve_files,
        further=lambda w: plans.study(w.study).further_metrics,
        promise=lambda w: plans.study(w.study).promise_file,
        failures="results/{study}/failures.json",
        map="results/{study}/map.json",
    output:
        report(
            "results/{study}/report.html",
            caption="../report/captions/report.rst",
            category="{study}",
            labels={"what": "report"},
        ),
    log:
        "logs/report/{study}.log",
    conda:
        "../../environment.yaml"
    resources:
        source=lambda w: str(plans.study(w.study).features[0].dataset.source_path or ""),
    script:
        "../scripts/report.py"
