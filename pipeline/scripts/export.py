"""The job that exports a study's runs, and the best of them to a folder of its own."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.export.study import export_study

    export_study(
        {
            Path(folder): [
                (Path(file), Path(weights) if weights else None) for file, weights in seen
            ]
            for folder, seen in snakemake.params.runs.items()
        },
        Path(snakemake.input.leaderboard),
        Path(snakemake.output[0]).parent,
        study=snakemake.wildcards.study,
    )
