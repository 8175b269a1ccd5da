"""The job that writes a study's page."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from pipeline.report import build_report

    build_report(
        snakemake.wildcards.study,
        Path(snakemake.input.study),
        [Path(metrics) for metrics in snakemake.input.metrics],
        [Path(features) for features in snakemake.input.features],
        Path(snakemake.output[0]),
    )
