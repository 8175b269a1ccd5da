"""The part of a study that trains a backbone further, and what others reported."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from classifiers.finetune import scratch
from classifiers.finetune.settings import DEFAULTS, check
from features.errors import UserError
from features.views import is_view
from pipeline.section import Count, Portion, Positive, Section, distinct, wrong

Ratio = Annotated[float, Field(ge=0)]
Accuracy = Annotated[float, Field(gt=0, le=1)]


class Network(Section):
    """A convolutional network to be trained from nothing."""

    size: Count | Annotated[list[Count], Field(min_length=2, max_length=2)] = Field(
        description="Side in pixels, or [height, width]."
    )
    layers: Annotated[list[Any], Field(min_length=1)] = Field(
        description="One by one, from the images on: `{conv: 32, kernel: 3, padding: same}`, "
        "`{pool: 2}`, `batch_normalization`, `{dropout: 0.25}`, `{activation: relu}`."
    )
    resize: Literal["stretch", "pad", "crop"] = "stretch"
    interpolation: Literal["bilinear", "nearest", "bicubic", "lanczos3", "lanczos5"] = "bilinear"
    preprocessing: Literal["tf", "torch", "caffe", "unit", "raw"] = "unit"

    @field_validator("layers")
    @classmethod
    def _possible(cls, layers: list[Any]) -> list[Any]:
        try:
            scratch.check(layers)
        except UserError as error:
            raise wrong(str(error)) from error
        return layers

    @property
    def height_width(self) -> tuple[int, int]:
        """The input's height and width in pixels."""
        size = self.size
        return (size, size) if isinstance(size, int) else (size[0], size[1])


class FineTune(Section):
    """A backbone that is trained further, with a head of this study or a fresh top on it."""

    backbone: str | None = Field(None, description="One of this study's.")
    network: Network | None = Field(None, description="In its place, one to train from nothing.")
    head: str | None = Field(
        None, description="The head that it starts from, fitted by this study; else a fresh top."
    )
    layers: Literal["last", "all"] | Annotated[list[str], Field(min_length=1)] = Field(
        DEFAULTS["layers"],
        description="What a fresh top sees: pooled layers, or unpooled as `spatial/<name>`, "
        "`spatial/last`, which are flattened.",
    )
    stack: list[Any] = Field(
        DEFAULTS["stack"], description="The hidden layers of a fresh top, as of a dense head."
    )
    unfreeze: Literal["all", "none"] | dict[Literal["last", "from"], Any] = Field(
        DEFAULTS["unfreeze"],
        description="`all`, `none`, `{last: 20}` layers, or `{from: 143}`, a layer by index or "
        "name and all behind it.",
    )
    batch_norm: Literal["frozen", "train"] = Field(
        DEFAULTS["batch_norm"], description="BatchNormalization of the layers that train."
    )
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop"] = DEFAULTS["optimizer"]
    learning_rate: Positive = DEFAULTS["learning_rate"]
    schedule: str | dict[str, Any] = Field(
        DEFAULTS["schedule"], description="As of a dense head: `{cosine: {warmup: 1}}`, ..."
    )
    label_smoothing: Portion = DEFAULTS["label_smoothing"]
    epochs: Count = DEFAULTS["epochs"]
    batch_size: Count = DEFAULTS["batch_size"]
    monitor: Literal["accuracy", "loss"] | None = Field(
        DEFAULTS["monitor"],
        description="Keeps the epoch that is best in it on validation; null: the last one.",
    )
    patience: Count | None = Field(
        DEFAULTS["patience"],
        description="Stops when so many epochs in a row were no better in what is monitored.",
    )
    augmentation: dict[str, Any] = Field(
        DEFAULTS["augmentation"],
        description="Drawn anew of each image in each epoch, in this order: `flip: horizontal`, "
        "`rotation: 15` degrees, `shift: 0.1`, `zoom: 0.1`, `brightness: [0.8, 1.2]`, "
        "`randaugment: 0.5`; `fill: nearest` for what comes in from outside.",
    )
    mixup: Ratio = Field(DEFAULTS["mixup"], description="MixUp's alpha; 0 for none.")
    cutmix: Ratio = Field(DEFAULTS["cutmix"], description="CutMix's factor; 0 for none.")
    views: Annotated[list[str], Field(min_length=1)] = Field(
        DEFAULTS["views"],
        description="Each epoch sees an image in one of these, drawn for it; they can be cached.",
    )
    precision: Literal["exact", "fast"] = Field(
        DEFAULTS["precision"], description="float32, or bfloat16 with float32 weights (a GPU's)."
    )

    @field_validator("views")
    @classmethod
    def _views(cls, views: list[str]) -> list[str]:
        for view in views:
            if not is_view(view):
                raise wrong(f"no view {view!r}; allowed: identity, mirror, and augmented-N")
        return distinct(views, "a view")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            check(self.settings)
        except UserError as error:
            raise wrong(str(error)) from error
        if self.network is not None:
            for key in ("backbone", "head"):
                if getattr(self, key) is not None:
                    raise wrong(f"{key}: there is none to a network that is trained from nothing")
            if self.unfreeze != "all":
                raise wrong("unfreeze: a network that is trained from nothing has nothing frozen")
        if self.head is not None:
            for key in ("layers", "stack"):
                if key in self.model_fields_set:
                    raise wrong(
                        f"{key}: is of a fresh top, and {self.head!r} is one that is fitted"
                    )
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What `classifiers.finetune.settings.DEFAULTS` has defaults for."""
        return {name: getattr(self, name) for name in DEFAULTS}


class Published(Section):
    """Accuracies that others reported."""

    source: str = Field(description="Who and where.")
    accuracy: dict[str, Accuracy] = Field(
        {}, description="On their test images, by the head or fine-tuning that does the same."
    )
    remarks: list[str] = Field(
        [], description="What to know of it, such as how the test images were used."
    )
