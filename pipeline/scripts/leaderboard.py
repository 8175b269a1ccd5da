"""The job that ranks a study's runs and compares its heads."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from classifiers.compare import leaderboard
    from classifiers.significance import compare_runs

    metrics = [Path(path) for path in snakemake.input]
    leaderboard(metrics, Path(snakemake.output.leaderboard))
    compare_runs(metrics, Path(snakemake.output.comparison))
