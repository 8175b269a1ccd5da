# All runs of a study to its leaderboard and its page.


rule leaderboard:
    input:
        lambda w: plans.study(w.study).metrics,
    output:
        "results/{study}/leaderboard.csv",
    log:
        "logs/leaderboard/{study}.log",
    conda:
        "../../environment.yaml"
    script:
        "../scripts/leaderboard.py"


rule report:
    input:
        study=lambda w: plans.study(w.study).file,
        metrics=lambda w: plans.study(w.study).metrics,
        features=lambda w: [features.link for features in plans.study(w.study).features],
        leaderboard="results/{study}/leaderboard.csv",
    output:
        "results/{study}/report.html",
    log:
        "logs/report/{study}.log",
    conda:
        "../../environment.yaml"
    script:
        "../scripts/report.py"
