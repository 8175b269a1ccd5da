"""The job that shows which test images the best run gets wrong; it decides nothing."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from pipeline.report.mistakes import write_failures

    source = snakemake.resources.source
    write_failures(
        [Path(metrics) for metrics in snakemake.input.metrics],
        Path(snakemake.input.dataset),
        Path(source) if source else None,
        Path(snakemake.output[0]),
    )
