# Images to cached features. The user's own files are no inputs here: their content, not their date
# or place, is in the name of what is made of them. Where they are is a resource, for a changed
# resource reruns nothing; and so is the engine.


rule dataset:
    output:
        ".headstart/datasets/{dataset}.h5",
    log:
        "logs/datasets/{dataset}.log",
    conda:
        "../../environment.yaml"
    resources:
        source=lambda w: str(plans.dataset(f"{w.dataset}.h5").source_path or ""),
        max_broken=lambda w: plans.dataset(f"{w.dataset}.h5").max_broken,
    params:
        spec=lambda w: asdict(plans.dataset(f"{w.dataset}.h5").spec),
    script:
        "../scripts/dataset.py"


rule features:
    input:
        lambda w: plans.features(w.dataset, w.backbone).inputs,
    output:
        ".headstart/features/{dataset}/{backbone}.h5",
    log:
        "logs/features/{dataset}/{backbone}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    resources:
        source=lambda w: str(plans.features(w.dataset, w.backbone).dataset.source_path or ""),
        weights=lambda w: str(plans.features(w.dataset, w.backbone).weights or ""),
        engine=lambda w: plans.features(w.dataset, w.backbone).engine,
    params:
        spec=lambda w: plans.features(w.dataset, w.backbone).spec,
    script:
        "../scripts/features.py"


# Parts run side by side on several GPUs, one each.
use rule features as part with:
    input:
        lambda w: plans.features(w.dataset, w.backbone).dataset.link,
    output:
        ".headstart/features/{dataset}/{backbone}.h5.parts/{part}-of-{parts}.h5",
    log:
        "logs/features/{dataset}/{backbone}.{part}-of-{parts}.log",
    threads: lambda w: max(1, workflow.cores // max(1, len(gpus())))
