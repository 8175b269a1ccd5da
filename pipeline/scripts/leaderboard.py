"""The job that ranks a study's runs."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from classifiers.compare import leaderboard

    leaderboard([Path(metrics) for metrics in snakemake.input], Path(snakemake.output[0]))
