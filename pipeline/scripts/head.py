"""The job that chooses a head's settings and fits it."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.fit import fit_head
    from classifiers.spec import HeadSpec

    fit_head(
        Path(snakemake.input[0]),
        HeadSpec(**snakemake.params.head),
        Path(snakemake.output.fit).parent,
        validation=snakemake.params.validation,
        seed=snakemake.params.seed,
    )
