"""The job that looks for images that are there twice."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.duplicates import find_duplicates

    find_duplicates(
        Path(snakemake.input.dataset),
        Path(snakemake.input.features),
        Path(snakemake.output[0]),
    )
