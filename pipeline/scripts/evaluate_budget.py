"""The job that judges a learning curve on the test split."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.budget import evaluate_curve

    evaluate_curve(
        [Path(file) for file in snakemake.input.features],
        Path(snakemake.input.curve),
        Path(snakemake.output[0]),
    )
