"""The backbones that a study may name. Light: nothing here imports Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREPROCESSING = {
    "tf": "x / 127.5 - 1",
    "torch": "x / 255, then ImageNet's mean and standard deviation",
    "caffe": "RGB to BGR, ImageNet's mean subtracted",
    "unit": "x / 255",
    "raw": "as it is, 0 to 255",
}
"""Preprocessing modes, named as in `keras.applications`, and what they do to a pixel x."""


@dataclass(frozen=True)
class Architecture:
    """A network that can be a backbone.

    Attributes:
        name: The name of its constructor, by which a study calls it.
        module: The module of `keras.applications` that holds it; empty for the embedded one.
        preprocessing: What its weights want, a key of `PREPROCESSING`.
        default_size: The side in pixels at which its ImageNet weights were trained.
        minimum_size: The smallest side that it takes.
        weights_file: The name of Keras' ImageNet weights; `{alpha}` and `{size}` are filled in.
        alphas: The widths for which there are ImageNet weights; empty where it cannot be scaled.
        sizes: The sides with ImageNet weights of their own; for every other Keras takes those of
            the default size.
    """

    name: str
    module: str
    preprocessing: str
    default_size: int
    minimum_size: int
    weights_file: str
    alphas: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()


def _family(
    module: str,
    preprocessing: str,
    weights_file: str,
    members: Mapping[str, tuple[str, int]],
    *,
    minimum: int = 32,
    alphas: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
) -> list[Architecture]:
    """Networks of one module, by constructor: the name in the weights file, and the size."""
    return [
        Architecture(
            name,
            module,
            preprocessing,
            size,
            minimum,
            weights_file.replace("{name}", member),
            alphas,
            sizes,
        )
        for name, (member, size) in members.items()
    ]


_KERNELS = "weights_tf_dim_ordering_tf_kernels"

# "raw" are those that carry their preprocessing inside.
ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("Embedded", "", "tf", 32, 16, ""),
        *_family(
            "mobilenet",
            "tf",
            "mobilenet_{alpha}_{size}_tf_no_top.h5",
            {"MobileNet": ("", 224)},
            alphas=(0.25, 0.5, 0.75, 1.0),
            sizes=(128, 160, 192, 224),
        ),
        *_family(
            "mobilenet_v2",
            "tf",
            f"mobilenet_v2_{_KERNELS}_{{alpha}}_{{size}}_no_top.h5",
            {"MobileNetV2": ("", 224)},
            alphas=(0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
            sizes=(96, 128, 160, 192, 224),
        ),
        *_family(
            "mobilenet_v3",
            "raw",
            "weights_mobilenet_v3_{name}_224_{alpha}_float_no_top_v2.h5",
            {"MobileNetV3Small": ("small", 224), "MobileNetV3Large": ("large", 224)},
            alphas=(0.75, 1.0),
        ),
        *_family(
            "resnet",
            "caffe",
            f"{{name}}_{_KERNELS}_notop.h5",
            {
                "ResNet50": ("resnet50", 224),
                "ResNet101": ("resnet101", 224),
                "ResNet152": ("resnet152", 224),
            },
        ),
        *_family(
            "resnet_v2",
            "tf",
            f"{{name}}_{_KERNELS}_notop.h5",
            {
                "ResNet50V2": ("resnet50v2", 224),
                "ResNet101V2": ("resnet101v2", 224),
                "ResNet152V2": ("resnet152v2", 224),
            },
        ),
        *_family(
            "densenet",
            "torch",
            f"{{name}}_{_KERNELS}_notop.h5",
            {
                "DenseNet121": ("densenet121", 224),
                "DenseNet169": ("densenet169", 224),
                "DenseNet201": ("densenet201", 224),
            },
        ),
        *_family(
            "inception_v3",
            "tf",
            f"inception_v3_{_KERNELS}_notop.h5",
            {"InceptionV3": ("", 299)},
            minimum=75,
        ),
        *_family(
            "inception_resnet_v2",
            "tf",
            f"inception_resnet_v2_{_KERNELS}_notop.h5",
            {"InceptionResNetV2": ("", 299)},
            minimum=75,
        ),
        *_family("vgg16", "caffe", f"vgg16_{_KERNELS}_notop.h5", {"VGG16": ("", 224)}),
        *_family("vgg19", "caffe", f"vgg19_{_KERNELS}_notop.h5", {"VGG19": ("", 224)}),
        *_family(
            "xception", "tf", f"xception_{_KERNELS}_notop.h5", {"Xception": ("", 299)}, minimum=71
        ),
        *_family(
            "nasnet",
            "tf",
            "nasnet_{name}_no_top.h5",
            {"NASNetMobile": ("mobile", 224), "NASNetLarge": ("large", 331)},
        ),
        *_family(
            "efficientnet",
            "raw",
            "efficientnet{name}_notop.h5",
            {
                f"EfficientNetB{number}": (f"b{number}", size)
                for number, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
            },
        ),
        *_family(
            "efficientnet_v2",
            "raw",
            "efficientnetv2-{name}_notop.h5",
            {
                f"EfficientNetV2{name.upper()}": (name, size)
                for name, size in (
                    ("b0", 224),
                    ("b1", 240),
                    ("b2", 260),
                    ("b3", 300),
                    ("s", 384),
                    ("m", 480),
                    ("l", 480),
                )
            },
        ),
        *_family(
            "convnext",
            "raw",
            "convnext_{name}_notop.h5",
            {
                f"ConvNeXt{name}": (name.lower(), 224)
                for name in ("Tiny", "Small", "Base", "Large", "XLarge")
            },
        ),
    )
}


def imagenet_file(architecture: str, size: tuple[int, int], alpha: float) -> str:
    """The name under which Keras keeps an architecture's ImageNet weights.

    Args:
        architecture: A key of `ARCHITECTURES`.
        size: Height and width of the input in pixels.
        alpha: The width multiplier, where the architecture takes one.
    """
    known = ARCHITECTURES[architecture]
    height, width = size
    side = height if height == width and height in known.sizes else known.default_size
    # The first MobileNet's are named 1_0, 7_5, 5_0 and 2_5.
    first = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}
    text = first.get(alpha, "") if known.module == "mobilenet" else str(float(alpha))
    return known.weights_file.format(alpha=text, size=side)
