"""The job that brings a data set into one form."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from features.datasets import DatasetSpec, prepare

    spec = dict(snakemake.params.spec)
    spec["limit"] = tuple(tuple(pair) for pair in spec["limit"])
    source = snakemake.resources.source
    prepare(
        DatasetSpec(**spec),
        Path(source) if source else None,
        Path(snakemake.output[0]),
        snakemake.resources.max_broken,
    )
