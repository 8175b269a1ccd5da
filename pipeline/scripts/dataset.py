"""The job that brings a data set into one form."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from features.datasets import DatasetSpec, prepare
    from pipeline.links import file_of, make_link

    spec = dict(snakemake.params.spec)
    spec["limit"] = tuple(tuple(pair) for pair in spec["limit"])
    source = snakemake.resources.source
    link = Path(snakemake.output[0])
    prepare(
        DatasetSpec(**spec),
        Path(source) if source else None,
        file_of(link),
        snakemake.resources.max_broken,
    )
    make_link(link)
