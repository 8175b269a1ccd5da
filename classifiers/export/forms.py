"""An exported model for other runtimes, each held to Keras after it is written."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.export.folder import FORMS, KERAS, Exported, add_files, check_files
from classifiers.mount.resized import behind_the_resizes
from classifiers.predict.engines import openvino_engine
from features.errors import UserError
from features.files import disk_errors

if TYPE_CHECKING:
    import keras

LOG = logging.getLogger("headstart")

CLOSE = 1e-3
"""How far a probability may be from Keras'."""

SIZES = ((32, 32), (47, 61), (130, 90))
"""Heights and widths of the images that a form is checked on."""

Predict = Callable[[np.ndarray], np.ndarray]


def write_forms(folder: Path, exported: Exported, forms: Sequence[str]) -> Exported:
    """Writes an exported model in further forms, and checks each against Keras.

    Args:
        folder: Where `model.keras` is.
        exported: What stands there.
        forms: Of `FORMS`.

    Raises:
        UserError: There is no `model.keras`, a form's library is missing, it cannot be written, or
            its probabilities are not those of Keras.
    """
    if not exported.has(KERAS):
        raise UserError(f"{folder}: it has no {KERAS} to convert" + _because(exported.why))
    check_files(folder, exported, [KERAS])
    model = load_keras(folder / KERAS)
    for form in forms:
        exported = add_files(folder, exported, *write_form(model, folder, form))
    return exported


def write_form(
    model: keras.Model, folder: Path, form: str
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Writes one form of a model, and checks it.

    Returns:
        The names of its files, and of the form for OpenVINO what its inputs are.

    Raises:
        UserError: As for `write_forms`.
    """
    names, (write, load) = FORMS[form], RUNTIMES[form]
    inputs: list[dict[str, Any]] = []
    written = model
    if form == "openvino":
        written, inputs = behind_the_resizes(model)
    with disk_errors(folder), tempfile.TemporaryDirectory(dir=folder) as scratch:
        part = Path(scratch) / Path(names[0]).name
        try:
            write(written, part)
        except (UserError, OSError):
            raise
        # Each library raises whatever it stumbles over.
        except Exception as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(f"{folder}: cannot be written as {form} ({reason})") from error
        apart = _apart(model, load(part, inputs))
        if not apart <= CLOSE:
            raise UserError(
                f"{folder}: as {form} it gives probabilities up to {apart:.2g} from Keras', "
                f"where {CLOSE:g} is allowed; it is not kept. Use {KERAS}"
            )
        (folder / names[0]).parent.mkdir(exist_ok=True)
        for name in names:
            (Path(scratch) / Path(name).name).replace(folder / name)
    LOG.info(f"{folder / names[0]}: at most {apart:.1g} from Keras' probabilities")
    return names, inputs


def load_keras(path: Path) -> keras.Model:
    """Reads a model of Keras without running code from its file.

    Raises:
        UserError: It is damaged, holds code, or is of a version that Keras cannot read.
    """
    import keras

    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever the content leads to.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(
            f"{path}: Keras {keras.__version__} does not read it ({reason}). It holds code or is "
            "damaged, or another version wrote it (model.json names that); export the run anew"
        ) from error
    return model


def _apart(model: keras.Model, form: Predict) -> float:
    """The largest difference of probabilities, on images of noise and of slopes."""
    generator = np.random.default_rng(0)
    largest = 0.0
    for height, width in SIZES:
        noise = generator.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        slope = np.linspace(0, 255, height * width * 3).reshape(1, height, width, 3)
        images = np.concatenate([noise, slope.astype(np.uint8)])
        difference = np.abs(np.asarray(model(images, training=False)) - form(images))
        largest = max(largest, float(difference.max()))
    return largest


def _write_openvino(model: keras.Model, path: Path) -> None:
    _needed("openvino", "openvino", "cpu")
    model.export(str(path), format="openvino", verbose=False)


def _load_openvino(path: Path, inputs: Sequence[Mapping[str, Any]]) -> Predict:
    # As it will be run.
    engine = openvino_engine(path, inputs)
    return lambda images: engine.run(list(images))


def _write_tflite(model: keras.Model, path: Path) -> None:
    model.export(str(path), format="litert", verbose=False)


def _load_tflite(path: Path, inputs: Sequence[Mapping[str, Any]]) -> Predict:
    import tensorflow as tf

    with warnings.catch_warnings():
        # It tells of a package to come in its place, which is none of the user's business.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(path))
    (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(images: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(given["index"], images.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(given["index"], images)
        interpreter.invoke()
        found: np.ndarray = interpreter.get_tensor(wanted["index"])
        return found

    return predict


def _write_onnx(model: keras.Model, path: Path) -> None:
    """By way of TensorFlow's graph with its constants inside.

    Keras' own export makes further inputs of some of them.
    """
    _needed("tf2onnx", "ONNX", "onnx")
    import tensorflow as tf
    import tf2onnx
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec((None, None, None, 3), tf.uint8, name="images")
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(
        signature
    )
    frozen = convert_variables_to_constants_v2(traced)
    proto, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(),
        input_names=[tensor.name for tensor in frozen.inputs],
        output_names=[tensor.name for tensor in frozen.outputs],
        opset=18,
    )
    given, wanted = proto.graph.input[0].name, proto.graph.output[0].name
    for node in proto.graph.node:
        node.input[:] = ["images" if name == given else name for name in node.input]
        node.output[:] = ["probabilities" if name == wanted else name for name in node.output]
        node.input[:] = ["probabilities" if name == wanted else name for name in node.input]
    proto.graph.input[0].name, proto.graph.output[0].name = "images", "probabilities"
    path.write_bytes(proto.SerializeToString())


def _load_onnx(path: Path, inputs: Sequence[Mapping[str, Any]]) -> Predict:
    _needed("onnxruntime", "ONNX Runtime", "onnx")
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"images": images})[0])


RUNTIMES: dict[str, tuple[Any, Any]] = {
    "openvino": (_write_openvino, _load_openvino),
    "onnx": (_write_onnx, _load_onnx),
    "tflite": (_write_tflite, _load_tflite),
}
"""What writes the first of each form's files, and what makes predictions of it."""


def _needed(module: str, what: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise UserError(f"{what} is not installed: uv sync --extra {extra}")


def _because(why: str | None) -> str:
    return f": {why}" if why else ""
