"""The job that chooses a head's settings and fits it, or has fitted heads vote."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from classifiers.fit import fit_head
    from classifiers.spec import Choice, HeadSpec
    from classifiers.voting import fit_vote
    from pipeline.memory import limit, workers

    folder = Path(snakemake.output.fit).parent
    params, resources = snakemake.params, snakemake.resources
    if snakemake.input.members:
        members = dict.fromkeys(Path(file).parent for file in snakemake.input.members)
        fit_vote(list(members), folder, seed=params.seed)
    else:
        head = dict(params.head)
        choice = Choice(**head.pop("choice"))
        with workers(resources.scheduler):
            fit_head(
                [Path(file) for file in snakemake.input.features],
                HeadSpec(**head, choice=choice),
                folder,
                validation=params.validation,
                seed=params.seed,
                folds=params.folds,
                memory=limit(head["type"], resources.memory, resources.scheduler),
            )
