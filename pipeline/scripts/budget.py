"""The job that fits a head on parts of the training labels."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.budget import learning_curve

    learning_curve(
        [Path(file) for file in snakemake.input.features],
        Path(snakemake.input.fit).parent,
        Path(snakemake.output[0]),
        validation=snakemake.params.validation,
    )
