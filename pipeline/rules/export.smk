# Finished runs to models from image to probabilities, and the best of them to a folder to take away.
# One job, for most of what it takes is to start Keras; a model that is there already stays.


rule export:
    input:
        leaderboard="results/{study}/leaderboard.csv",
        metrics=lambda w: plans.study(w.study).metrics,
        features=lambda w: [plan.link for plan in plans.study(w.study).features],
    output:
        "results/{study}/best/model.json",
        "results/{study}/best/README.md",
    log:
        "logs/export/{study}.log",
    conda:
        "../../environment.yaml"
    params:
        runs=lambda w: plans.study(w.study).exports,
    script:
        "../scripts/export.py"
