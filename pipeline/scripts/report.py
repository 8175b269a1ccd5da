"""The job that writes a study's page."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0]):
    from pipeline.load import load_study
    from pipeline.report.build import build_report
    from pipeline.report.evidence import Evidence

    source = snakemake.resources.source
    study = Path(snakemake.input.study)
    build_report(
        snakemake.wildcards.study,
        study,
        [Path(metrics) for metrics in snakemake.input.metrics],
        [Path(features) for features in snakemake.input.features],
        Path(snakemake.output[0]),
        Evidence(
            comparison=Path(snakemake.input.comparison),
            curves=[Path(curve) for curve in snakemake.input.curves],
            further=[Path(metrics) for metrics in snakemake.input.further],
            duplicates=Path(snakemake.input.duplicates),
            suspects=next((Path(file) for file in snakemake.input.suspects), None),
            failures=Path(snakemake.input.failures),
            map=Path(snakemake.input.map),
            promise=next((Path(file) for file in snakemake.input.promise), None),
            published=load_study(study).published,
            dataset=Path(snakemake.input.dataset),
            source=Path(source) if source else None,
        ),
    )
