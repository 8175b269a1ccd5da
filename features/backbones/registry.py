"""The backbones that a study may name. Light: nothing here imports Keras."""

from __future__ import annotations

from dataclasses import dataclass

PREPROCESSING = {
    "tf": "x / 127.5 - 1",
    "torch": "x / 255, then ImageNet's mean and standard deviation",
    "caffe": "RGB to BGR, ImageNet's mean subtracted",
    "unit": "x / 255",
    "raw": "as it is, 0 to 255",
}
"""Preprocessing modes, named as in `keras.applications`, and what they do to a pixel x."""

MOBILENET_SIZES = (96, 128, 160, 192, 224)
MOBILENET_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


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
        takes_alpha: Whether its width can be scaled.
    """

    name: str
    module: str
    preprocessing: str
    default_size: int
    minimum_size: int
    weights_file: str
    takes_alpha: bool = False


_KERNELS = "weights_tf_dim_ordering_tf_kernels"

ARCHITECTURES = {
    architecture.name: architecture
    for architecture in (
        Architecture("Embedded", "", "tf", 32, 16, ""),
        Architecture(
            "MobileNetV2",
            "mobilenet_v2",
            "tf",
            224,
            32,
            f"mobilenet_v2_{_KERNELS}_{{alpha}}_{{size}}_no_top.h5",
            takes_alpha=True,
        ),
        Architecture("ResNet50", "resnet", "caffe", 224, 32, f"resnet50_{_KERNELS}_notop.h5"),
        Architecture(
            "DenseNet121", "densenet", "torch", 224, 32, f"densenet121_{_KERNELS}_notop.h5"
        ),
        Architecture(
            "InceptionV3", "inception_v3", "tf", 299, 75, f"inception_v3_{_KERNELS}_notop.h5"
        ),
        Architecture(
            "InceptionResNetV2",
            "inception_resnet_v2",
            "tf",
            299,
            75,
            f"inception_resnet_v2_{_KERNELS}_notop.h5",
        ),
        Architecture("VGG16", "vgg16", "caffe", 224, 32, f"vgg16_{_KERNELS}_notop.h5"),
        Architecture("Xception", "xception", "tf", 299, 71, f"xception_{_KERNELS}_notop.h5"),
        # These two carry their preprocessing inside.
        Architecture(
            "EfficientNetV2B0", "efficientnet_v2", "raw", 224, 32, "efficientnetv2-b0_notop.h5"
        ),
        Architecture("ConvNeXtTiny", "convnext", "raw", 224, 32, "convnext_tiny_notop.h5"),
    )
}


def imagenet_file(architecture: str, size: tuple[int, int], alpha: float) -> str:
    """The name under which Keras keeps an architecture's ImageNet weights.

    Args:
        architecture: A key of `ARCHITECTURES`.
        size: Height and width of the input in pixels. MobileNetV2 has weights of its own for some
            square sizes; for every other size Keras takes those of 224.
        alpha: The width multiplier, where the architecture takes one.
    """
    height, width = size
    side = height if height == width and height in MOBILENET_SIZES else 224
    return ARCHITECTURES[architecture].weights_file.format(alpha=float(alpha), size=side)
