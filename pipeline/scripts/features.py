"""The job that runs the pass."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from features.extract import extract

    source, weights = snakemake.resources.source, snakemake.resources.weights
    extract(
        Path(snakemake.input[0]),
        Path(source) if source else None,
        snakemake.params.spec,
        Path(weights) if weights else None,
        Path(snakemake.output[0]),
    )
