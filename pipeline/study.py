"""The study file: the one definition of what a user may write."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from classifiers.finetune.settings import GRADIENTS
from classifiers.heads import DEFAULTS
from classifiers.heads.where import check_module
from classifiers.network.schedule import parsed as check_schedule
from classifiers.network.search import PUBLISHED, check_search
from classifiers.network.stack import check as check_stack
from features.backbones.preset import is_preset, read_preset
from features.backbones.registry import ARCHITECTURES
from features.errors import UserError
from features.views import VIEW_PATTERN, is_view
from pipeline.section import (
    Count,
    Portion,
    Positive,
    Section,
    Share,
    distinct,
    one_of,
    wrong,
)
from pipeline.tuning import FineTune, Published

WHOLE = {"local": "a .keras file", "hub": "the folder of a KerasHub preset"}
"""Architectures that are not registered, and the weights that each wants."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def existing(path: str) -> str:
    """Fills environment variables and `~` into a path, which must then exist."""
    found = filled(path)
    unset = re.search(r"\$\{?(\w+)", found)
    if unset:
        raise wrong(
            f"{path}: the environment variable {unset.group(1)} is not set; "
            f"set it, as in: export {unset.group(1)}=/path/to/it"
        )
    if not Path(found).exists():
        raise wrong(f"{found}: no such file or folder")
    return found


def filled(path: str) -> str:
    """Fills environment variables and `~` into a path, as far as they are set."""
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111


def architecture_of(weights: Any) -> str | None:
    """What stands under `architecture` where the weights are a whole backbone; else None."""
    if not isinstance(weights, str):
        return None
    if weights.endswith(".keras"):
        return "local"
    return "hub" if is_preset(Path(filled(weights))) else None


class Dataset(Section):
    """What all data sets have in common."""

    test: Share = Field(0.2, description="Share drawn as test split where the data brings none.")
    validation: Share = Field(
        0.1, description="Share of train drawn as validation split where the data brings none."
    )
    seed: int = Field(0, ge=0, description="Of the draws of `test` and `limit`.")
    limit: dict[Literal["train", "validation", "test"], Count] = Field(
        {}, description="Images of a split to keep, a stratified draw; all where not named."
    )


class Cifar(Dataset):
    """CIFAR-10 or CIFAR-100: downloaded by Keras, or the official archive where it was put."""

    source: Literal["cifar10", "cifar100"]
    path: str | None = Field(None, description="The official python archive (.tar.gz).")

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str | None) -> str | None:
        return path and existing(path)


class Digits(Dataset):
    """The 1,797 handwritten digits that come with scikit-learn."""

    source: Literal["digits"]


class Folder(Dataset):
    """A folder of images, one subfolder a class, with or without train/validation/test above."""

    source: Literal["folder"]
    path: str = Field(description="The folder, or a .zip or .tar archive of it.")
    max_broken: int = Field(0, ge=0, description="Broken image files to skip before stopping.")

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str) -> str:
        if not Path(filled(path)).exists() and "$" not in filled(path):
            raise wrong(
                f"{filled(path)}: no such folder; put your images there, one subfolder a class, "
                "with or without train/, validation/ and test/ above, or name the one that has them"
            )
        return existing(path)


class Arrays(Dataset):
    """Arrays x_train, y_train, x_test, y_test (or x, y) in a .npz or HDF5 file."""

    source: Literal["npz", "hdf5"]
    path: str = Field(description="The file.")

    @field_validator("path")
    @classmethod
    def _exists(cls, path: str) -> str:
        return existing(path)


View = Annotated[
    str,
    Field(
        pattern=VIEW_PATTERN,
        description="identity, mirror, or augmented-N: a random crop, mirroring and colours, drawn "
        "for each image by the seed N.",
    ),
]


class Backbone(Section):
    """A pretrained network without its top, and the images as it sees them."""

    architecture: str = Field(
        description="The network; where missing, the backbone's own name.",
        json_schema_extra={"enum": list(ARCHITECTURES)},
    )
    alpha: Positive = Field(1.0, description="Width multiplier (the MobileNets).")
    size: Count | Annotated[list[Count], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Side in pixels, or [height, width]; that of the weights where missing."
    )
    resize: Literal["stretch", "pad", "crop"] = Field(
        "stretch", description="Stretch to the size, or keep the aspect ratio by padding/cropping."
    )
    interpolation: Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    antialias: bool = Field(False, description="Smooth what the resize makes smaller.")
    preprocessing: Literal["own", "tf", "torch", "caffe", "unit", "raw"] = Field(
        "own",
        description="What is done to pixels after the resize; `own` is what the weights want.",
    )
    weights: str | None = Field(
        None,
        description="imagenet (default), random, or a file: .h5, .weights.h5, or a whole .keras "
        "model or the folder of a KerasHub preset, which then is the backbone.",
    )
    views: Annotated[list[View], Field(min_length=1)] = Field(["identity", "mirror"])
    spatial: list[str] = Field(
        [], description="Layers to keep unpooled too, by name; `last` is the backbone's last."
    )
    dtype: Literal["float16", "float32"] = Field("float16", description="Of what is stored.")
    precision: Literal["fast", "exact"] = Field(
        "fast",
        description="Computed in bfloat16 where the hardware has it, or in float32 everywhere.",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, body: Any) -> Any:
        """What a study leaves open of a preset's images, the preset says."""
        if not isinstance(body, dict) or architecture_of(body.get("weights")) != "hub":
            return body
        try:
            preset = read_preset(Path(filled(body["weights"])))
        except UserError as error:
            raise wrong(str(error)) from error
        says = {
            "size": list(preset.size),
            "resize": preset.resize,
            "interpolation": preset.interpolation,
            "antialias": preset.antialias,
        }
        return {**says, **body}

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in (*ARCHITECTURES, *WHOLE):
            raise wrong(f"no backbone {name!r}; allowed: {one_of(ARCHITECTURES)}")
        return name

    @field_validator("weights")
    @classmethod
    def _exists(cls, weights: str | None) -> str | None:
        if weights in (None, "imagenet", "random"):
            return weights
        path = existing(weights)
        if not (path.endswith((".h5", ".keras")) or is_preset(Path(path))):
            raise wrong(
                f"{path}: weights are imagenet, random, a file that ends in .h5, .weights.h5 or "
                ".keras, or a folder that holds a preset of KerasHub"
            )
        return path

    @field_validator("views", mode="before")
    @classmethod
    def _views(cls, views: Any) -> Any:
        for view in views if isinstance(views, list) else []:
            if not is_view(str(view)):
                raise wrong(
                    f"no view {view!r}; allowed: identity, mirror, and augmented-N with a seed N "
                    "for each further one, as in augmented-0"
                )
        return views

    @field_validator("views", "spatial")
    @classmethod
    def _once(cls, names: list[str], info: ValidationInfo) -> list[str]:
        return distinct(names, "a view" if info.field_name == "views" else "a layer")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        whole = architecture_of(self.weights)
        if whole and whole != self.architecture:
            raise wrong(f"{self.weights} is its own architecture: leave `architecture` out")
        if self.architecture in WHOLE and not whole:
            raise wrong(
                f"architecture {self.architecture} wants `weights`: {WHOLE[self.architecture]}"
            )
        if whole == "hub":
            own = {"preprocessing": "own", "alpha": 1.0}
            for field, default in own.items():
                if getattr(self, field) != default:
                    raise wrong(f"a preset has its own {field}: leave it out")
            return self
        if whole:
            if self.size is None:
                raise wrong("a .keras model wants `size`, the side in pixels that it takes")
            if self.preprocessing == "own":
                raise wrong(
                    "a .keras model wants `preprocessing`: tf, torch, caffe, unit or raw "
                    "(raw where the model does it itself)"
                )
            return self
        architecture = ARCHITECTURES[self.architecture]
        if min(self.height_width) < architecture.minimum_size:
            raise wrong(
                f"size {one_of(self.height_width)} is below the smallest that "
                f"{self.architecture} takes: {architecture.minimum_size}"
            )
        if self.alpha != 1.0 and not architecture.alphas:
            raise wrong(f"{self.architecture} takes no alpha")
        if self.architecture == "Embedded" and self.weights == "imagenet":
            raise wrong("Embedded has weights of its own and none of ImageNet; leave them out")
        imagenet = self.weights in (None, "imagenet") and architecture.alphas
        if imagenet and self.alpha not in architecture.alphas:
            raise wrong(
                f"{self.architecture} has no ImageNet weights for alpha {self.alpha}; "
                f"there are for {one_of(architecture.alphas)}"
            )
        return self

    @property
    def height_width(self) -> tuple[int, int]:
        """The input's height and width in pixels."""
        size = self.size or ARCHITECTURES[self.architecture].default_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])


class Head(Section):
    """What all heads have in common: the features that they see."""

    layers: Literal["last", "all"] | Annotated[list[str], Field(min_length=1)] = Field(
        "last", description="The backbone's last layer, all stages joined, or layers by name."
    )
    view: str = Field(
        "identity",
        description="One view of each image; `mean`, the mean over all views; or `rows`, each view "
        "a training row of its own, an image's scores being the mean over its views.",
    )
    root: bool = Field(
        False, description="Takes roots of the values' magnitudes, which evens out large ones."
    )
    pca: Count | None = Field(
        None, description="To so many principal components of the standardised features."
    )
    whiten: bool = Field(
        False, description="Brings the components, all of them without `pca`, to equal variance."
    )
    join: Annotated[list[str], Field(min_length=2)] | None = Field(
        None, description="Backbones whose features it sees side by side, in place of each alone."
    )

    @field_validator("join")
    @classmethod
    def _once(cls, names: list[str] | None) -> list[str] | None:
        return names and distinct(names, "a backbone")


class Logistic(Head):
    """Multinomial logistic regression."""

    type: Literal["logistic"] = "logistic"
    C: Positive | list[Positive] = Field(
        DEFAULTS["logistic"]["C"], description="Inverse of the l2 penalty."
    )


class Svm(Head):
    """Linear support vector machine, squared hinge, one against the rest."""

    type: Literal["svm"] = "svm"
    C: Positive | list[Positive] = Field(
        DEFAULTS["svm"]["C"], description="Inverse of the l2 penalty."
    )


class Ridge(Head):
    """Ridge regression on the classes as -1 and 1."""

    type: Literal["ridge"] = "ridge"
    alpha: Positive | list[Positive] = Field(
        DEFAULTS["ridge"]["alpha"], description="The l2 penalty."
    )


Shrinkage = Annotated[float, Field(ge=0, le=1)]


class Lda(Head):
    """Linear discriminant analysis."""

    type: Literal["lda"] = "lda"
    shrinkage: Shrinkage | list[Shrinkage] = Field(
        DEFAULTS["lda"]["shrinkage"],
        description="Of the covariance towards a multiple of the identity: 0 not at all, 1 wholly.",
    )


Metric = Literal["cosine", "euclidean"]


class NearestMean(Head):
    """The nearest class mean."""

    type: Literal["nearest_mean"] = "nearest_mean"
    metric: Metric | list[Metric] = DEFAULTS["nearest_mean"]["metric"]


class Knn(Head):
    """The majority among the k nearest neighbours."""

    type: Literal["knn"] = "knn"
    k: Count | list[Count] = Field(DEFAULTS["knn"]["k"], description="Neighbours that vote.")
    metric: Metric | list[Metric] = DEFAULTS["knn"]["metric"]


class RbfSvm(Head):
    """Support vector machine with a Gaussian kernel, squared hinge, one against the rest."""

    type: Literal["rbf_svm"] = "rbf_svm"
    C: Positive | list[Positive] = Field(
        DEFAULTS["rbf_svm"]["C"], description="Inverse of the l2 penalty."
    )
    gamma: Positive | list[Positive] = Field(
        DEFAULTS["rbf_svm"]["gamma"],
        description="The kernel's narrowness, as a multiple of one over the dimensions.",
    )
    approximation: Literal["auto", "exact", "nystroem"] = Field(
        DEFAULTS["rbf_svm"]["approximation"],
        description="All training rows as landmarks, some of them drawn at random, or, `auto`, all "
        "where there are no more than `components`.",
    )
    components: Count | list[Count] = Field(
        DEFAULTS["rbf_svm"]["components"], description="Landmarks of the approximation."
    )


class Search(Section):
    """A search by Keras Tuner, in place of grids. It goes on where it was killed."""

    method: Literal["hyperband", "random"] | dict[str, Any] = Field(
        "hyperband",
        description="Or one of them with its options: `{hyperband: {max_epochs: 10, factor: 3}}`, "
        "`{random: {trials: 20}}`.",
    )
    space: dict[str, Any] = Field(
        PUBLISHED,
        description="What is drawn: `units`, `depth`, `penalty`, `penalty_rate`, `dropout`, and "
        "settings of the head; each a list, or `{from: 32, to: 512, step: 32}`, or `{from: "
        "0.00001, to: 0.01, log: true}`.",
    )
    limit: Positive | None = Field(None, description="Seconds after which no candidate begins.")


class Dense(Head):
    """A Keras network of dense layers."""

    type: Literal["dense"] = "dense"
    hidden: list[Count] | Annotated[list[list[Count]], Field(min_length=1)] = Field(
        DEFAULTS["dense"]["hidden"],
        description="Widths of the hidden layers; a list of such lists is searched.",
    )
    dropout: Portion | list[Portion] = DEFAULTS["dense"]["dropout"]
    stack: list[Any] | None = Field(
        DEFAULTS["dense"]["stack"],
        description="The hidden layers one by one, in place of `hidden` and `dropout`: `{dense: "
        "256, activation: relu, l2: 0.001}`, `batch_normalization`, `{dropout: 0.5}`; a list of "
        "such lists is searched.",
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = DEFAULTS["dense"]["optimizer"]
    learning_rate: Positive | list[Positive] = DEFAULTS["dense"]["learning_rate"]
    schedule: str | dict[str, Any] = Field(
        DEFAULTS["dense"]["schedule"],
        description="How the rate goes: `constant`, `cosine`, `exponential`, `plateau`, or one of "
        "them with its options, as in `{cosine: {warmup: 2}}`.",
    )
    label_smoothing: Portion | list[Portion] = DEFAULTS["dense"]["label_smoothing"]
    epochs: Count | list[Count] = DEFAULTS["dense"]["epochs"]
    batch_size: Count | list[Count] = DEFAULTS["dense"]["batch_size"]
    monitor: Literal["accuracy", "loss"] | None = Field(
        DEFAULTS["dense"]["monitor"],
        description="Keeps the epoch that is best in it on validation; else the last one.",
    )
    patience: Count | None = Field(
        DEFAULTS["dense"]["patience"],
        description="Stops when so many epochs in a row were no better in what is monitored.",
    )
    standardise: bool = Field(
        DEFAULTS["dense"]["standardise"],
        description="Brings features to zero mean and unit variance first.",
    )
    search: Search | None = Field(None, description="Settings drawn by Keras Tuner.")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        grid = self.stack and all(isinstance(entry, list) for entry in self.stack)
        try:
            for stack in (self.stack or []) if grid else [self.stack or []]:
                check_stack(stack)
            check_schedule(self.schedule)
            if self.search:
                settings = self.model_dump(exclude={"type", "layers", "view", "search"})
                check_search(self.search.method, self.search.space, settings)
        except UserError as error:
            raise wrong(str(error)) from error
        if self.patience is not None and self.monitor is None:
            raise wrong("patience: nothing is watched; set `monitor` to accuracy or loss")
        return self


class Custom(Head):
    """An estimator of your own."""

    type: Literal["custom"] = "custom"
    estimator: str = Field(
        description="`package.module:Class` of a scikit-learn classifier; the module is installed, "
        "or lies beside the study or where you call snakemake."
    )
    parameters: dict[str, Any] = Field({}, description="Of the class.")

    @field_validator("estimator")
    @classmethod
    def _is_there(cls, estimator: str) -> str:
        try:
            check_module(estimator)
        except UserError as error:
            raise wrong(str(error)) from error
        return estimator


class Vote(Section):
    """Soft voting: the mean of the probabilities of other heads, each at its temperature."""

    type: Literal["vote"] = "vote"
    heads: Annotated[list[str], Field(min_length=2)] = Field(
        description="Heads of this study; none is fitted again."
    )
    join: Annotated[list[str], Field(min_length=2)] | None = Field(
        None, description="Backbones whose heads vote together, in place of those of each alone."
    )

    @field_validator("heads")
    @classmethod
    def _each_once(cls, names: list[str]) -> list[str]:
        return distinct(names, "a head")

    @field_validator("join")
    @classmethod
    def _once(cls, names: list[str] | None) -> list[str] | None:
        return names and distinct(names, "a backbone")


HEADS: dict[str, type[Section]] = {
    "logistic": Logistic,
    "svm": Svm,
    "ridge": Ridge,
    "lda": Lda,
    "nearest_mean": NearestMean,
    "knn": Knn,
    "rbf_svm": RbfSvm,
    "dense": Dense,
    "custom": Custom,
    "vote": Vote,
}

AnyHead = Annotated[
    Logistic | Svm | Ridge | Lda | NearestMean | Knn | RbfSvm | Dense | Custom | Vote,
    Discriminator("type"),
]


AnyDataset = Annotated[Cifar | Digits | Folder | Arrays, Discriminator("source")]


class Study(Section):
    """What to compare: every head on every backbone's features of one data set."""

    dataset: AnyDataset
    backbones: Annotated[dict[str, Backbone], Field(min_length=1)] = Field(
        description="By names of your own, or by the architecture's."
    )
    heads: Annotated[dict[str, AnyHead], Field(min_length=1)] = Field(
        description="By names of your own, or by the type's."
    )
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        [0], description="One run each: of the validation split's draw and of the head."
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None,
        description="Chooses settings by cross-validation in so many folds of the training and "
        "validation images, in place of one validation split.",
    )
    further_tests: dict[str, AnyDataset] = Field(
        {},
        description="Other test sets for the same heads, by names of your own: nothing is chosen "
        "on them. All images of one without a test split, or its test split.",
    )
    fine_tune: dict[str, FineTune] = Field(
        {}, description="Backbones to train further, by names of your own."
    )
    published: Published | None = Field(
        None, description="What others reported, to stand beside these results."
    )
    learning_curves: list[str] = Field(
        [], description="Heads that are fitted on parts of the training labels too."
    )
    suspects: str | None = Field(
        None, description="The head whose out-of-fold predictions look for wrong labels."
    )
    engine: Literal["auto", "openvino", "tensorflow", "jax"] = Field(
        "auto", description="What runs the pass; `auto` is the fastest that is there."
    )
    parts: Count = Field(1, description="Into how many parts a pass is split: one a GPU or job.")
    memory: Positive | None = Field(
        None,
        description="Gigabytes that the features of a head may take in memory; of more, heads that "
        "can read them block by block. A quarter of the machine's where missing.",
    )
    disk: Positive | None = Field(
        None,
        description="Gigabytes that the boundary of a fine-tuning may take in the cache; half of "
        "what is free where missing.",
    )
    scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls|ws|wss|ucx|inproc)://.+",
        description="Address of a dask.distributed scheduler, as in tcp://host:8786: heads that "
        "can are fitted on its workers.",
    )

    @field_validator("dataset", mode="before")
    @classmethod
    def _source(cls, body: Any) -> Any:
        return with_source(body)

    @field_validator("further_tests", mode="before")
    @classmethod
    def _sources(cls, body: Any) -> Any:
        for name, dataset in body.items() if isinstance(body, dict) else ():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise wrong(f"the name {name!r} may hold letters, digits, _ and - only")
            with_source(dataset)
        return body

    @field_validator("further_tests")
    @classmethod
    def _only_tests(cls, tests: dict[str, Dataset]) -> dict[str, Dataset]:
        for name, dataset in tests.items():
            odd = dataset.model_fields_set & {"test", "validation"}
            odd |= {f"limit.{split}" for split in dataset.limit if split != "test"}
            if odd:
                raise wrong(f"{name}: all of it is a test split: leave out {one_of(sorted(odd))}")
        return tests

    @field_validator("backbones", "heads", mode="before")
    @classmethod
    def _named(cls, body: Any, info: ValidationInfo) -> Any:
        """Names may say what a thing is: `logistic: {}` is a head of the type logistic."""
        if not isinstance(body, dict) or not body:
            raise wrong(f"lists nothing; name at least one of your {info.field_name}")
        key, known = (
            ("type", list(HEADS)) if info.field_name == "heads" else ("architecture", ARCHITECTURES)
        )
        seen: dict[str, str] = {}
        filled = {}
        for name, settings in body.items():
            if not isinstance(name, str) or not NAME.fullmatch(name):
                raise wrong(f"the name {name!r} may hold letters, digits, _ and - only")
            if name.lower() in seen:
                raise wrong(
                    f"the names {seen[name.lower()]!r} and {name!r} clash: files are named by them"
                )
            seen[name.lower()] = name
            if settings is None or isinstance(settings, dict):
                settings = dict(settings or {})
                whole = architecture_of(settings.get("weights")) if key == "architecture" else None
                what = settings.setdefault(key, whole or name)
                if what not in known and what not in WHOLE:
                    raise wrong(f"{name}: no {key} {what!r}; allowed: {one_of(known)}")
            filled[name] = settings
        return filled

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) != len(seeds):
            raise wrong("a seed is named twice")
        return seeds

    @model_validator(mode="after")
    def _named_heads(self) -> Self:
        suspects = [] if self.suspects is None else [self.suspects]
        named = {"learning_curves": self.learning_curves, "suspects": suspects}
        for key, heads in named.items():
            for head in heads:
                if head not in self.heads:
                    raise wrong(f"{key}: no head {head!r}; allowed: {one_of(self.heads)}")
                if isinstance(self.heads[head], Vote):
                    raise wrong(f"{key}: {head!r} is a vote, which is not fitted; name other heads")
        return self

    @model_validator(mode="after")
    def _votes(self) -> Self:
        fitted = [name for name, head in self.heads.items() if not isinstance(head, Vote)]
        for name, head in self.heads.items():
            for member in head.heads if isinstance(head, Vote) else ():
                if member not in fitted:
                    raise wrong(
                        f"heads.{name}.heads: no head {member!r} that can vote; "
                        f"allowed: {one_of(fitted)}"
                    )
        return self

    @model_validator(mode="after")
    def _tunings(self) -> Self:
        taken = {name.lower() for name in self.heads}
        for name, tuning in self.fine_tune.items():
            if not NAME.fullmatch(name):
                raise wrong(f"fine_tune: the name {name!r} may hold letters, digits, _ and - only")
            if name.lower() in taken:
                raise wrong(f"fine_tune.{name}: a head is called so too; files are named by them")
            taken.add(name.lower())
            self._tuning(f"fine_tune.{name}", tuning)
        for name in self.published.accuracy if self.published else ():
            if name not in (*self.heads, *self.fine_tune):
                raise wrong(
                    f"published.accuracy: no head or fine-tuning {name!r}; "
                    f"allowed: {one_of([*self.heads, *self.fine_tune])}"
                )
        return self

    def _tuning(self, where: str, tuning: FineTune) -> None:
        if tuning.network is None and tuning.backbone not in self.backbones:
            given = "is missing" if tuning.backbone is None else f"is {tuning.backbone!r}"
            raise wrong(f"{where}.backbone {given}; allowed: {one_of(self.backbones)}")
        if tuning.head is None:
            return
        able = [
            name
            for name, head in self.heads.items()
            if head.type in GRADIENTS and not getattr(head, "join", None)
        ]
        if tuning.head not in able:
            raise wrong(
                f"{where}.head: {tuning.head!r} is no head on one backbone that gradients can "
                f"train further; allowed: {one_of(able) or 'none of this study'}"
            )

    @model_validator(mode="after")
    def _joins(self) -> Self:
        for name, head in self.heads.items():
            for backbone in head.join or ():
                if backbone not in self.backbones:
                    raise wrong(
                        f"heads.{name}.join: no backbone {backbone!r}; "
                        f"allowed: {one_of(self.backbones)}"
                    )
        return self

    @model_validator(mode="after")
    def _views(self) -> Self:
        for name, head in self.heads.items():
            if isinstance(head, Vote):
                continue
            for backbone in head.join or self.backbones:
                views = [*self.backbones[backbone].views, "mean", "rows"]
                if head.view not in views:
                    raise wrong(
                        f"heads.{name}.view: {head.view!r} is none of the views of backbone "
                        f"{backbone!r}; allowed: {one_of(views)}"
                    )
        return self

    @model_validator(mode="after")
    def _searches(self) -> Self:
        for name, head in self.heads.items():
            if self.folds and isinstance(head, Dense) and head.search:
                raise wrong(
                    f"heads.{name}.search: Keras Tuner goes by one validation split: leave "
                    "`folds` out, or take lists of settings"
                )
        return self


def with_source(body: Any) -> Any:
    """A data set whose source is one that there is."""
    sources = ("cifar10", "cifar100", "digits", "folder", "npz", "hdf5")
    if not isinstance(body, dict) or body.get("source") not in sources:
        given = body.get("source") if isinstance(body, dict) else body
        raise wrong(f"no source {given!r}; allowed: {one_of(sources)}")
    return body
