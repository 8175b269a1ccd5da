"""The job that looks for labels that are likely wrong."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.suspects import find_suspects

    find_suspects(
        [Path(file) for file in snakemake.input.features],
        Path(snakemake.input.fit).parent,
        Path(snakemake.output[0]),
        validation=snakemake.params.validation,
    )
