"""The job that opens the test split."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.evaluate import evaluate_head

    evaluate_head(
        Path(snakemake.input.features),
        Path(snakemake.output.metrics).parent,
        estimator=snakemake.params.estimator,
    )
