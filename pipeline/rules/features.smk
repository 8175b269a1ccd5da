# Images to cached features. The user's own files are no inputs here: their content, not their date
# or place, is in the name of what is made of them. Where they are is a resource, for a changed
# resource reruns nothing.


rule dataset:
    output:
        "cache/datasets/{dataset}.h5",
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
        lambda w: plans.features(f"{w.dataset}/{w.backbone}.h5").dataset.file,
    output:
        "cache/features/{dataset}/{backbone}.h5",
    log:
        "logs/features/{dataset}/{backbone}.log",
    conda:
        "../../environment.yaml"
    threads: workflow.cores
    resources:
        source=lambda w: str(
            plans.features(f"{w.dataset}/{w.backbone}.h5").dataset.source_path or ""
        ),
        weights=lambda w: str(plans.features(f"{w.dataset}/{w.backbone}.h5").weights or ""),
    params:
        spec=lambda w: plans.features(f"{w.dataset}/{w.backbone}.h5").spec,
    script:
        "../scripts/features.py"
