"""The job that lays training and validation images on a plane by their features."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from pipeline.report.featuremap import write_map

    source = snakemake.resources.source
    write_map(
        [Path(metrics) for metrics in snakemake.input.metrics],
        [Path(features) for features in snakemake.input.features],
        Path(snakemake.input.dataset),
        Path(source) if source else None,
        Path(snakemake.output[0]),
    )
