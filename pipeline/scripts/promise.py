"""The job that says of backbones, from their features, which is likely to be worth training."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.promise import write_promise

    write_promise([Path(file) for file in snakemake.input], Path(snakemake.output[0]))
