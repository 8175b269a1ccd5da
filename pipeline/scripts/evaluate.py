"""The job that opens the test split."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.evaluate import evaluate_head
    from classifiers.voting import evaluate_vote

    folder = Path(snakemake.output.metrics).parent
    further = snakemake.wildcards.get("further")
    if snakemake.input.members:
        members = dict.fromkeys(Path(file).parent for file in snakemake.input.members)
        evaluate_vote(list(members), folder, further=further)
    elif snakemake.input.images:
        from classifiers.finetune.evaluate import evaluate_tuned
        from pipeline.links import file_of

        source = snakemake.resources.source
        features = [Path(file) for file in snakemake.input.features]
        evaluate_tuned(
            file_of(Path(snakemake.input.images[0])),
            Path(source) if source else None,
            features[0] if features else None,
            folder,
            further=further,
        )
    else:
        evaluate_head(
            [Path(file) for file in snakemake.input.features],
            folder,
            further=further,
            estimator=snakemake.params.estimator,
        )
