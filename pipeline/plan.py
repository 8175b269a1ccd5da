"""From a study to the files that it wants, every one with a path of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from features.backbones.preset import preset_digest
from features.backbones.registry import ARCHITECTURES, imagenet_file
from features.backbones.spec import BackboneSpec
from features.cache.join import part_file, parts_of
from features.datasets import DatasetSpec, identify
from features.datasets.memo import remembered_hash
from features.errors import UserError
from features.files import fingerprint
from features.spec import feature_spec
from pipeline.links import CACHE, link_of
from pipeline.load import load_study
from pipeline.study import Backbone, Study

STUDIES = Path("studies")
MEMO = CACHE / "contents.json"
GRAPHS = CACHE / "graphs"
RESULTS = Path("results")

STAGES = (
    *("all", "dataset", "part", "features", "head", "evaluate", "budget", "evaluate_budget"),
    *("leaderboard", "duplicates", "suspects", "report"),
)
"""The workflow's own rules, whose names no study may take."""

EMBEDDED_CARD = Path(__file__).parent.parent / "features" / "embedded" / "card.json"


@dataclass(frozen=True)
class DatasetPlan:
    """A data set as one file.

    Attributes:
        spec: All that decides which images stand in which split.
        source_path: Where the user's data is, if it is the user's.
        max_broken: Broken image files to skip.
        file: The dataset file.
    """

    spec: DatasetSpec
    source_path: Path | None
    max_broken: int
    file: Path

    @property
    def link(self) -> Path:
        """What stands for the file in the workflow."""
        return link_of(self.file)


@dataclass(frozen=True)
class FeaturesPlan:
    """A data set's features by one backbone.

    Attributes:
        spec: All that decides the features' values.
        dataset: The data set.
        weights: The local weights file, where the study names one.
        imagenet: The name of Keras' weights file, where the backbone wants it.
        engine: What runs the pass: "auto", or one of `features.engines.ENGINES`.
        parts: Into how many parts the pass is split.
        file: The features file.
    """

    spec: dict[str, Any]
    dataset: DatasetPlan
    weights: Path | None
    imagenet: str | None
    engine: str
    parts: int
    file: Path

    @property
    def link(self) -> Path:
        """What stands for the file in the workflow."""
        return link_of(self.file)

    @property
    def inputs(self) -> list[Path]:
        """What the file is made of: the data set and, where there are several, the parts."""
        return [self.dataset.link, *(part_links(self.file, self.parts) if self.parts > 1 else [])]


@dataclass(frozen=True)
class RunPlan:
    """One head on one feature set with one seed.

    Attributes:
        name: backbone.head.seed
        features: What it sees.
        head: The head's type, layers, view and settings.
        validation: The share of train drawn as validation split.
        seed: Of that draw and of the head.
        folder: Where its results are.
    """

    name: str
    features: FeaturesPlan
    head: dict[str, Any]
    validation: float
    seed: int
    folder: Path

    @property
    def head_file(self) -> Path:
        """The fitted head."""
        return self.folder / ("head.keras" if self.head["type"] == "dense" else "head.skops")


@dataclass(frozen=True)
class StudyPlan:
    """All that a study wants.

    Attributes:
        name: The study's name.
        file: The study file.
        runs: Every head on every backbone with every seed.
        curves: The runs whose learning curves are asked for, each head with the first seed.
        suspects: The run whose head looks for wrong labels, if one is to.
    """

    name: str
    file: Path
    runs: tuple[RunPlan, ...]
    curves: tuple[RunPlan, ...]
    suspects: RunPlan | None

    @property
    def features(self) -> list[FeaturesPlan]:
        """The features files, each once."""
        return list({run.features.file: run.features for run in self.runs}.values())

    @property
    def metrics(self) -> list[Path]:
        """What the evaluation of each run writes."""
        return [run.folder / "metrics.json" for run in self.runs]

    @property
    def curve_files(self) -> list[Path]:
        """The learning curves on the test split."""
        return [run.folder / "budget-test.json" for run in self.curves]

    @property
    def suspects_file(self) -> list[Path]:
        """The list of labels in doubt, if one is asked for."""
        return [RESULTS / self.name / "suspects.csv"] if self.suspects else []

    @property
    def report(self) -> Path:
        """The page that the study ends in."""
        return RESULTS / self.name / "report.html"


def study_files() -> dict[str, Path]:
    """The study files by name.

    Raises:
        UserError: Two files share a name, or a name is one of the workflow's own.
    """
    files: dict[str, Path] = {}
    for file in sorted([*STUDIES.glob("*.yaml"), *STUDIES.glob("*.yml")]):
        if file.stem in files:
            raise UserError(f"{file}: its name clashes with {files[file.stem]}; rename one")
        if file.stem in STAGES:
            raise UserError(
                f"{file}: a study may not be named {file.stem!r}, which is a stage of the "
                f"workflow; taken are {', '.join(STAGES)}"
            )
        files[file.stem] = file
    return files


def part_links(file: Path, parts: int) -> list[Path]:
    """What stands in the workflow for the parts of a features file."""
    return [link_of(part_file(file, part, parts)) for part in range(parts)]


def plan_study(file: Path, *, engine: str | None = None, parts: int | None = None) -> StudyPlan:
    """Reads a study and lays out its files.

    Args:
        file: The study file.
        engine: What runs the passes, where it is not the study that decides.
        parts: Into how many parts a pass is split, likewise.

    Raises:
        UserError: The study, or the data and weights that it names, are wrong.
    """
    study = load_study(file)
    engine, parts = engine or study.engine, parts or study.parts
    try:
        dataset = _plan_dataset(study)
        features = {
            name: _plan_features(backbone, dataset, engine, parts)
            for name, backbone in study.backbones.items()
        }
        for name, backbone in study.backbones.items():
            if backbone.architecture == "Embedded" and backbone.weights is None:
                _refuse_trained_on(dataset.spec, name)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    runs = tuple(
        RunPlan(
            name=f"{backbone}.{head}.{seed}",
            features=features[backbone],
            head=_head(settings.model_dump()),
            validation=study.dataset.validation,
            seed=seed,
            folder=RESULTS / file.stem / "runs" / f"{backbone}.{head}.{seed}",
        )
        for backbone in study.backbones
        for head, settings in study.heads.items()
        for seed in study.seeds
    )
    first = {
        (backbone, head): next(r for r in runs if r.name == f"{backbone}.{head}.{study.seeds[0]}")
        for backbone in study.backbones
        for head in study.heads
    }
    curves = tuple(run for (_, head), run in first.items() if head in study.learning_curves)
    # The first backbone's, where there are several.
    suspects = next((run for (_, head), run in first.items() if head == study.suspects), None)
    return StudyPlan(file.stem, file, runs, curves, suspects)


def _plan_dataset(study: Study) -> DatasetPlan:
    dataset = study.dataset
    given = getattr(dataset, "path", None)
    path = Path(given) if given else None
    spec = DatasetSpec(
        source=dataset.source,
        content=identify(dataset.source, path, MEMO),
        test=dataset.test,
        seed=dataset.seed,
        limit=tuple(sorted(dataset.limit.items())),
    )
    file = CACHE / "datasets" / f"{spec.source}-{fingerprint(asdict(spec))[:8]}.h5"
    return DatasetPlan(spec, path, getattr(dataset, "max_broken", 0), file)


def _plan_features(
    backbone: Backbone, dataset: DatasetPlan, engine: str, parts: int
) -> FeaturesPlan:
    weights = None
    imagenet = None
    if backbone.weights == "random":
        identity = "random"
    elif backbone.weights not in (None, "imagenet"):
        weights = Path(str(backbone.weights))
        preset = backbone.architecture == "hub"
        identity = preset_digest(weights, MEMO) if preset else remembered_hash(weights, MEMO)
    elif backbone.architecture == "Embedded":
        identity = "embedded"
    else:
        imagenet = imagenet_file(backbone.architecture, backbone.height_width, backbone.alpha)
        identity = f"imagenet:{imagenet}"
    # A preset's graph scales the pixels itself.
    known = ARCHITECTURES.get(backbone.architecture)
    own = known.preprocessing if known else "raw"
    spec = BackboneSpec(
        architecture=backbone.architecture,
        alpha=backbone.alpha,
        size=backbone.height_width,
        resize=backbone.resize,
        interpolation=backbone.interpolation,
        preprocessing=own if backbone.preprocessing == "own" else backbone.preprocessing,
        weights=identity,
        views=tuple(backbone.views),
        spatial=tuple(backbone.spatial),
        antialias=backbone.antialias,
        dtype=backbone.dtype,
        precision=backbone.precision,
    )
    fields = feature_spec(dataset.spec, spec)
    name = "_".join(
        [
            spec.architecture,
            *([f"{spec.alpha:g}"] if spec.alpha != 1 else []),
            f"{spec.size[0]}x{spec.size[1]}",
        ]
    )
    file = CACHE / "features" / dataset.file.stem / f"{name}-{fingerprint(fields)[:8]}.h5"
    return FeaturesPlan(fields, dataset, weights, imagenet, engine, _parts(file, parts), file)


def _parts(file: Path, wanted: int) -> int:
    """How many parts a file is made of; of one that is there as many as it was made of here."""
    if not file.exists():
        return wanted
    made = parts_of(file)
    return made if made > 1 and all(link.exists() for link in part_links(file, made)) else 1


def _head(settings: dict[str, Any]) -> dict[str, Any]:
    """A head's settings, apart from its type, the features that it sees, and its search."""
    kept = {key: settings.pop(key) for key in ("type", "layers", "view")}
    return kept | {"search": settings.pop("search", None), "settings": settings}


def _refuse_trained_on(dataset: DatasetSpec, name: str) -> None:
    card = json.loads(EMBEDDED_CARD.read_text())
    trained = card["trained_on"]
    if dataset.content in trained["contents"]:
        raise UserError(
            f"backbones.{name}: the embedded backbone was trained on {trained['dataset']} "
            f"({trained['images']:,} images, with their labels), so that its accuracy there says "
            "nothing about a frozen backbone's; take another backbone, such as MobileNetV2, or "
            "another data set"
        )
