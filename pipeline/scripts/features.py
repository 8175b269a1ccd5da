"""The job that runs a pass or a part of it, or joins the parts."""

from pathlib import Path

from pipeline.job import job

with job(snakemake.log[0], snakemake.threads):
    from features.cache.join import join
    from features.engines.gpu import use_gpu
    from features.extract import extract
    from pipeline.links import file_of, make_link
    from pipeline.plan import GRAPHS

    source, weights = snakemake.resources.source, snakemake.resources.weights
    part, parts = int(snakemake.wildcards.get("part", 1)), int(snakemake.wildcards.get("parts", 1))
    link = Path(snakemake.output[0])
    dataset, *part_links = map(Path, snakemake.input)
    if part_links:
        join(file_of(link), len(part_links))
    else:
        use_gpu(part - 1)
        extract(
            file_of(dataset),
            Path(source) if source else None,
            snakemake.params.spec,
            Path(weights) if weights else None,
            file_of(link),
            GRAPHS,
            engine=snakemake.resources.engine,
            threads=snakemake.threads,
            part=(part - 1, parts),
        )
    make_link(link)
