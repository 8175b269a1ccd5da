"""A backbone with its weights."""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from features.backbones.hub import build_preset
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.errors import UserError
from features.keras_home import keras_home

if TYPE_CHECKING:
    import keras

EMBEDDED_WEIGHTS = Path(__file__).parent.parent / "embedded" / "embedded.weights.h5"
RANDOM_SEED = 0

IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def build_backbone(
    spec: BackboneSpec, weights: Path | None, policy: str = "float32"
) -> keras.Model:
    """Builds a backbone without its top.

    Args:
        spec: What to build.
        weights: A local weights file (`.h5`, `.weights.h5`) or, for the architecture "local", a
            whole model (`.keras`); for "hub", the folder of a preset. None where the spec names
            weights that need no file.
        policy: Keras' dtype policy: "float32" or "mixed_bfloat16".

    Returns:
        A frozen model from float32 images (batch, height, width, 3), preprocessed, to the last
        layer's activations.

    Raises:
        UserError: The weights are not this backbone's, or the file is no Keras model.
    """
    with fresh_keras(policy):
        model = _built(spec, weights)
    # Every layer, and not the call alone: `training=False` does not hold BatchNormalization in
    # inference mode once an outer model trains.
    model.trainable = False
    return model


@contextmanager
def fresh_keras(policy: str) -> Iterator[None]:
    """Has a network built in it get the same names of layers always, and a dtype policy.

    Keras numbers unnamed layers by process, until the count begins anew; and then it forgets the
    policy, too.

    Args:
        policy: "float32" or "mixed_bfloat16". Behind it, it is "float32" again.
    """
    import keras

    keras.utils.clear_session()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy("float32")


def _built(spec: BackboneSpec, weights: Path | None) -> keras.Model:
    import keras

    if spec.architecture == "local":
        assert weights is not None
        model = _local_model(weights, spec.size)
    elif spec.architecture == "hub":
        assert weights is not None
        model = build_preset(weights, spec.size)
    else:
        keras.utils.set_random_seed(RANDOM_SEED)
        model = _architecture(spec)
        file = EMBEDDED_WEIGHTS if spec.weights == "embedded" else weights
        if file is not None:
            _load_weights(model, file, spec.architecture)
            if ARCHITECTURES[spec.architecture].module == "efficientnet":
                _normalize_by_deviation(model)
    return model


def _architecture(spec: BackboneSpec) -> keras.Model:
    if spec.architecture == "Embedded":
        from features.embedded.network import build

        return build(*spec.size)
    architecture = ARCHITECTURES[spec.architecture]
    import keras

    options = {"alpha": spec.alpha} if architecture.alphas else {}
    imagenet = spec.weights.startswith("imagenet")
    try:
        model: keras.Model = getattr(keras.applications, architecture.name)(
            include_top=False,
            weights="imagenet" if imagenet else None,
            input_shape=(*spec.size, 3),
            **options,
        )
    except Exception as error:
        if not imagenet:
            raise
        raise UserError(
            f"the ImageNet weights of {spec.architecture} could not be had: {error}\n"
            f"put the file {spec.weights.partition(':')[2]} into {keras_home() / 'models'}, or "
            "name a local file under `weights`"
        ) from error
    return model


def _load_weights(model: keras.Model, file: Path, architecture: str) -> None:
    """Loads a weights file and refuses one that is only partly of this model."""
    import h5py

    wrong = f"{file}: not the weights of {architecture} without its top"
    if not h5py.is_hdf5(file):
        raise UserError(f"{file}: not an HDF5 file, so no weights that Keras can read")
    try:
        with warnings.catch_warnings():
            # Keras warns of what it passed over, here and in the file; the check below is stricter.
            warnings.simplefilter("ignore")
            model.load_weights(file)
        stored = _stored_tensors(file)
    except (ValueError, KeyError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{wrong} ({reason})") from error
    wanted = Counter(_digest(weight.numpy()) for weight in model.weights)
    if stored != wanted:
        raise UserError(
            f"{wrong}: of its {stored.total()} tensors {(stored & wanted).total()} found a place "
            f"in the backbone, which has {wanted.total()}"
        )


def _normalize_by_deviation(model: keras.Model) -> None:
    """Squares the variances of ImageNet's EfficientNets, which are standard deviations.

    With `weights="imagenet"` Keras makes up for it by a layer that a local file's model lacks; see
    the source of `keras.applications.efficientnet.EfficientNet`, and TensorFlow's issue 49930.
    """
    import keras

    (layer,) = (one for one in model.layers if isinstance(one, keras.layers.Normalization))
    variance = layer.adapt_variance.numpy()
    if np.allclose(variance, IMAGENET_DEVIATION, atol=1e-4):
        layer.adapt_variance.assign(variance**2)
        layer.finalize_state()


def _stored_tensors(file: Path) -> Counter[bytes]:
    """The tensors of a weights file, whatever they are called, without an optimiser's."""
    import h5py

    tensors: Counter[bytes] = Counter()

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            tensors[_digest(item[()])] += 1

    with h5py.File(file, "r") as stored:
        stored.visititems(visit)
    return tensors


def _digest(tensor: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(tensor, np.float32).data).digest()


def _local_model(file: Path, size: tuple[int, int]) -> keras.Model:
    """A whole model from a `.keras` file, cut at its last spatial layer."""
    import keras

    try:
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{file}: Keras cannot load this model ({reason})") from error
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "operations"):
        raise UserError(f"{file}: only functional and sequential models can be backbones")
    shape = tuple(model.inputs[0].shape[1:])
    if len(model.inputs) != 1 or len(shape) != 3 or shape[2] != 3:
        raise UserError(f"{file}: wants one RGB image, but its input has the shape {shape}")
    if any(side not in (None, wanted) for side, wanted in zip(shape[:2], size, strict=True)):
        raise UserError(
            f"{file}: takes images of {shape[0]}x{shape[1]}, the study says {size[0]}x{size[1]}"
        )
    spatial = [
        operation.output
        for operation in model.operations
        if len(getattr(operation.output, "shape", ())) == 4
        and not isinstance(operation, keras.layers.InputLayer)
    ]
    if not spatial or len(model.outputs) != 1:
        raise UserError(f"{file}: has no spatial layer whose average could be a feature")
    if len(model.outputs[0].shape) == 4:
        return model
    return keras.Model(model.inputs, spatial[-1], name=model.name)
