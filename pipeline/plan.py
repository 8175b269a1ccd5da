"""From a study to the files that it wants, every one with a path of its own."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from classifiers.spec import Choice
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
from pipeline.study import Backbone, Dataset, Study, Vote
from pipeline.tuning import FineTune

STUDIES = Path("studies")
MEMO = CACHE / "contents.json"
GRAPHS = CACHE / "graphs"
RESULTS = Path("results")

STAGES = (
    *("all", "dataset", "part", "features", "head", "evaluate", "budget", "evaluate_budget"),
    *("evaluate_further", "leaderboard", "duplicates", "suspects", "promise", "failures"),
    *("map", "export", "report"),
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
class TunePlan:
    """A backbone that is trained further.

    Attributes:
        backbone: The backbone, its data set, and where its features are or would be.
        start: The run whose head it starts from, if it starts from one.
        further: Each further test set, by its name.
    """

    backbone: FeaturesPlan
    start: RunPlan | None
    further: dict[str, DatasetPlan]


@dataclass(frozen=True)
class RunPlan:
    """One head on one feature set with one seed, a vote of such, or a backbone trained further.

    Attributes:
        name: backbone.head.seed, backbones that are joined with a + between them.
        features: What it sees, one file a backbone; nothing where it is a vote.
        head: The head's type, settings, choice of features and search.
        validation: The share of train drawn as validation split.
        folds: Of a cross-validation in its place.
        seed: Of that draw and of the head.
        members: The runs that vote.
        further: The features of each further test set, by the set's name.
        study: The study's name.
        tune: Of a backbone that is trained further, what that is.
    """

    name: str
    features: tuple[FeaturesPlan, ...]
    head: dict[str, Any]
    validation: float
    folds: int | None
    seed: int
    members: tuple[RunPlan, ...]
    further: dict[str, tuple[FeaturesPlan, ...]]
    study: str
    tune: TunePlan | None = None

    @property
    def head_name(self) -> str:
        """The head's name in the study."""
        return self.name.rsplit(".", 2)[1]

    @property
    def folder(self) -> Path:
        """Where its results are."""
        return RESULTS / self.study / "runs" / self.name

    @property
    def links(self) -> list[Path]:
        """What stands in the workflow for the features."""
        return [plan.link for plan in self.features]

    def further_links(self, further: str) -> list[Path]:
        """The same of a further test set."""
        return [plan.link for plan in self.further[further]]

    def images(self, further: str | None = None) -> list[Path]:
        """What stands for the data set, or a further test set, where images are seen."""
        dataset = self._dataset(further)
        return [dataset.link] if dataset else []

    def source(self, further: str | None = None) -> str:
        """Where these images are, if they are the user's."""
        dataset = self._dataset(further)
        return str(dataset.source_path or "") if dataset else ""

    def _dataset(self, further: str | None) -> DatasetPlan | None:
        if self.tune is None:
            return None
        return self.tune.further[further] if further else self.tune.backbone.dataset

    def tune_resource(self, name: str) -> str:
        """Of a backbone that is trained further a field of its `FeaturesPlan`, or nothing."""
        return str(getattr(self.tune.backbone, name) or "") if self.tune else ""

    @property
    def seen(self) -> list[tuple[str, str]]:
        """The features that it sees, or its members, each once, with local weights or nothing."""
        of_members = [plan for member in self.members for plan in member.features]
        plans = {plan.file: plan for plan in (*self.features, *of_members)}.values()
        return [(str(plan.link), str(plan.weights or "")) for plan in plans]

    @property
    def start_files(self) -> list[Path]:
        """What the run left whose head it starts from."""
        start = self.tune and self.tune.start
        return [start.folder / "fit.json"] if start else []

    def of_members(self, *files: str) -> list[Path]:
        """Files of the runs that vote."""
        return [member.folder / file for member in self.members for file in files]


@dataclass(frozen=True)
class StudyPlan:
    """All that a study wants.

    Attributes:
        name: The study's name.
        file: The study file.
        runs: Every head on every backbone with every seed.
        curves: The runs whose learning curves are asked for, each head with the first seed.
        suspects: The run whose head looks for wrong labels, if one is to.
        memory: Bytes that the features of a head may take in memory, where the study says it.
        disk: Bytes that the boundary of a fine-tuning may take in the cache, likewise.
        scheduler: The address of a dask.distributed scheduler, likewise.
    """

    name: str
    file: Path
    runs: tuple[RunPlan, ...]
    curves: tuple[RunPlan, ...]
    suspects: RunPlan | None
    memory: float | None
    disk: float | None
    scheduler: str | None

    @property
    def features(self) -> list[FeaturesPlan]:
        """The features files of the study's own images, each once."""
        return list({plan.file: plan for run in self.runs for plan in run.features}.values())

    @property
    def passes(self) -> list[FeaturesPlan]:
        """All features files, those of further test sets too."""
        further = [plan for run in self.runs for plans in run.further.values() for plan in plans]
        return list({plan.file: plan for plan in [*self.features, *further]}.values())

    @property
    def metrics(self) -> list[Path]:
        """What the evaluation of each run writes."""
        return [run.folder / "metrics.json" for run in self.runs]

    @property
    def exports(self) -> dict[str, list[tuple[str, str]]]:
        """What each run sees, by its folder."""
        return {str(run.folder): run.seen for run in self.runs}

    @property
    def best(self) -> Path:
        """What the export of the best run writes last."""
        return RESULTS / self.name / "best" / "model.json"

    @property
    def further_metrics(self) -> list[Path]:
        """The same of each further test set."""
        return [run.folder / f"metrics.{name}.json" for run in self.runs for name in run.further]

    @property
    def curve_files(self) -> list[Path]:
        """The learning curves on the test split."""
        return [run.folder / "budget-test.json" for run in self.curves]

    @property
    def suspects_file(self) -> list[Path]:
        """The list of labels in doubt, if one is asked for."""
        return [RESULTS / self.name / "suspects.csv"] if self.suspects else []

    @property
    def promise_file(self) -> list[Path]:
        """What is said of backbones before one is trained further."""
        tuned = any(run.tune for run in self.runs)
        return [RESULTS / self.name / "promise.json"] if tuned else []

    @property
    def ends(self) -> list[Path]:
        """All that the study is to leave: its page, and the model of its best run."""
        return [self.report, self.best]

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


def plan_study(
    file: Path,
    *,
    engine: str | None = None,
    parts: int | None = None,
    memory: float | None = None,
    disk: float | None = None,
    scheduler: str | None = None,
) -> StudyPlan:
    """Reads a study and lays out its files.

    Args:
        file: The study file.
        engine: What runs the passes, where it is not the study that decides.
        parts: Into how many parts a pass is split, likewise.
        memory: Gigabytes that the features of a head may take in memory, likewise.
        disk: Gigabytes that the boundary of a fine-tuning may take in the cache, likewise.
        scheduler: The address of a dask.distributed scheduler, likewise.

    Raises:
        UserError: The study, or the data and weights that it names, are wrong.
    """
    study = load_study(file)
    engine, parts = engine or study.engine, parts or study.parts
    try:
        features = _features_of(study, study.dataset, engine, parts)
        further = {
            name: _features_of(study, dataset, engine, parts)
            for name, dataset in study.further_tests.items()
        }
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    runs = _runs(study, file.stem, features, further)
    first = [run for run in runs if run.seed == study.seeds[0]]
    memory, disk = memory or study.memory, disk or study.disk
    return StudyPlan(
        name=file.stem,
        file=file,
        runs=tuple(runs),
        curves=tuple(run for run in first if run.head_name in study.learning_curves),
        # The first backbone's, where there are several.
        suspects=next((run for run in first if run.head_name == study.suspects), None),
        memory=memory * 1e9 if memory else None,
        disk=disk * 1e9 if disk else None,
        scheduler=scheduler or study.scheduler,
    )


Passes = dict[str, FeaturesPlan]
"""The features of a data set by each backbone, by the backbone's name."""


def _features_of(study: Study, data: Dataset, engine: str, parts: int) -> Passes:
    whole = data is not study.dataset
    dataset = _plan_dataset(data, whole=whole)
    found = {}
    for name, backbone in study.backbones.items():
        found[name] = _plan_features(backbone, dataset, engine, parts)
        if backbone.architecture == "Embedded" and backbone.weights is None:
            _refuse_trained_on(dataset.spec, name)
    return found


def _runs(study: Study, name: str, features: Passes, further: dict[str, Passes]) -> list[RunPlan]:
    """Every head on every backbone, or on those that it joins; votes behind what they count on."""
    runs: dict[str, RunPlan] = {}

    def add(head: str, backbones: list[str], seed: int, members: list[RunPlan]) -> None:
        label = "+".join(backbones)
        run = RunPlan(
            name=f"{label}.{head}.{seed}",
            features=() if members else tuple(features[one] for one in backbones),
            head=_head(study.heads[head].model_dump()),
            validation=study.dataset.validation,
            folds=study.folds,
            seed=seed,
            members=tuple(members),
            further={
                test: () if members else tuple(plans[one] for one in backbones)
                for test, plans in further.items()
            },
            study=name,
        )
        runs[run.name] = run

    fitted = {key: head for key, head in study.heads.items() if not isinstance(head, Vote)}
    votes = {key: head for key, head in study.heads.items() if isinstance(head, Vote)}
    for key, head in fitted.items():
        for seed in study.seeds:
            for group in _groups(study, head.join):
                add(key, group, seed, [])
    for key, vote in votes.items():
        for seed in study.seeds:
            for group in _groups(study, vote.join):
                voting = {
                    f"{'+'.join(fitted[member].join or [one])}.{member}.{seed}"
                    for member in vote.heads
                    for one in group
                }
                # In the order of the study.
                add(key, group, seed, [run for run in runs.values() if run.name in voting])
    order = {key: place for place, key in enumerate(study.heads)}
    heads = sorted(runs.values(), key=lambda run: order[run.head_name])
    return heads + _tunings(study, name, features, further, runs)


def _tunings(
    study: Study,
    name: str,
    features: Passes,
    further: dict[str, Passes],
    runs: dict[str, RunPlan],
) -> list[RunPlan]:
    """Every backbone that is trained further, with each seed."""
    found = []
    some = next(iter(features.values()))
    tests = {test: next(iter(plans.values())).dataset for test, plans in further.items()}
    for key, tuning in study.fine_tune.items():
        label = tuning.backbone or "network"
        plan = features[label] if tuning.backbone else _network(tuning, some)
        for seed in study.seeds:
            start = runs[f"{label}.{tuning.head}.{seed}"] if tuning.head else None
            head = {"type": "fine_tune", "settings": tuning.settings, "spec": plan.spec}
            if tuning.network:
                head["network"] = tuning.network.layers
            found.append(
                RunPlan(
                    name=f"{label}.{key}.{seed}",
                    features=start.features if start else (),
                    head=head,
                    validation=study.dataset.validation,
                    folds=None,
                    seed=seed,
                    members=(),
                    # It sees their images, and no features.
                    further={test: () for test in tests},
                    study=name,
                    tune=TunePlan(plan, start, tests),
                )
            )
    return found


def _network(tuning: FineTune, some: FeaturesPlan) -> FeaturesPlan:
    """A network to be trained from nothing, in the place of a backbone; no pass is made of it."""
    assert tuning.network is not None
    network = tuning.network
    spec = BackboneSpec(
        architecture="network",
        alpha=1.0,
        size=network.height_width,
        resize=network.resize,
        interpolation=network.interpolation,
        preprocessing=network.preprocessing,
        weights="random",
        views=("identity",),
    )
    whole = feature_spec(some.dataset.spec, spec)
    file = some.file.with_name(f"network-{fingerprint(whole)[:8]}.h5")
    return FeaturesPlan(whole, some.dataset, None, None, some.engine, 1, file)


def _groups(study: Study, join: list[str] | None) -> list[list[str]]:
    """The backbones that a head sees at once, time after time."""
    return [join] if join else [[name] for name in study.backbones]


def _plan_dataset(dataset: Dataset, *, whole: bool) -> DatasetPlan:
    """A data set, or one that is a test split as a whole."""
    given = getattr(dataset, "path", None)
    path = Path(given) if given else None
    source: str = dataset.source  # type: ignore[attr-defined]
    spec = DatasetSpec(
        source=source,
        content=identify(source, path, MEMO, only_test=whole),
        test=1.0 if whole else dataset.test,
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
    whole = feature_spec(dataset.spec, spec)
    name = "_".join(
        [
            spec.architecture,
            *([f"{spec.alpha:g}"] if spec.alpha != 1 else []),
            f"{spec.size[0]}x{spec.size[1]}",
        ]
    )
    file = CACHE / "features" / dataset.file.stem / f"{name}-{fingerprint(whole)[:8]}.h5"
    return FeaturesPlan(whole, dataset, weights, imagenet, engine, _parts(file, parts), file)


def _parts(file: Path, wanted: int) -> int:
    """How many parts a file is made of; of one that is there as many as it was made of here."""
    if not file.exists():
        return wanted
    made = parts_of(file)
    return made if made > 1 and all(link.exists() for link in part_links(file, made)) else 1


def _head(settings: dict[str, Any]) -> dict[str, Any]:
    """A head's settings, apart from its type, the features that it sees, and its search."""
    settings.pop("join")
    seen = {
        field.name: settings.pop(field.name) for field in fields(Choice) if field.name in settings
    }
    kept = {"type": settings.pop("type"), "search": settings.pop("search", None)}
    return kept | {"settings": settings, "choice": seen}


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
