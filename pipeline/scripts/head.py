"""The job that fits a head, has fitted heads vote, or trains a backbone further."""

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
    elif snakemake.input.images:
        from classifiers.finetune.fit import fine_tune
        from classifiers.promise import log_promise
        from pipeline.links import file_of
        from pipeline.memory import images_limit
        from pipeline.plan import GRAPHS

        log_promise(Path(snakemake.input.promise[0]))
        start = [Path(file).parent for file in snakemake.input.start]
        fine_tune(
            file_of(Path(snakemake.input.images[0])),
            Path(resources.source) if resources.source else None,
            params.head["spec"],
            Path(resources.weights) if resources.weights else None,
            Path(resources.backbone),
            folder,
            params.head["settings"],
            graphs=GRAPHS,
            validation=params.validation,
            seed=params.seed,
            start=start[0] if start else None,
            network=params.head.get("network"),
            engine=resources.engine,
            threads=snakemake.threads,
            memory=images_limit(resources.memory),
            disk=resources.boundary_bytes or None,
        )
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
