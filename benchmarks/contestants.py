"""Who runs in `pass.py`, each in a process of its own: python benchmarks/contestants.py NAME CASE.

CASE is JSON: architecture, alpha, size, side. Reads numbers of images from its input, a line each;
takes so many through the backbone and answers with the seconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec

Seconds = Callable[[np.ndarray], float]

PREDICT_BATCH = 32
BATCHES = (8, 32)
"""Tried by the peers that want a fixed one; the faster counts."""

THREADS = os.cpu_count() or 1


def spec_of(case: dict[str, Any], precision: str = "exact") -> BackboneSpec:
    """The case's backbone, with random weights on one view of each image."""
    return BackboneSpec(
        architecture=case["architecture"],
        alpha=case["alpha"],
        size=(case["size"], case["size"]),
        resize="stretch",
        interpolation="bilinear",
        preprocessing=ARCHITECTURES[case["architecture"]].preprocessing,
        weights="random",
        views=("identity",),
        precision=precision,
    )


def images_of(case: dict[str, Any], count: int) -> np.ndarray:
    """Random images, uint8."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, case["side"], case["side"], 3), dtype=np.uint8)


def whole_pass(case: dict[str, Any], precision: str) -> Seconds:
    """Headstart: from a dataset file to a features file, without the start of the engine."""
    from features import open as open_features
    from features.datasets import DatasetSpec, identify, prepare
    from features.extract import extract
    from features.files import fingerprint
    from features.spec import feature_spec

    folder = Path(tempfile.mkdtemp())

    def seconds(images: np.ndarray) -> float:
        file = folder / f"{len(images)}.npz"
        if not file.exists():
            labels = np.arange(len(images)) % 2
            train, test = slice(None, -32), slice(-32, None)
            np.savez(
                file,
                x_train=images[train],
                y_train=labels[train],
                x_test=images[test],
                y_test=labels[test],
            )
        dataset = DatasetSpec("npz", identify("npz", file, folder / "memo.json"), 0.2, 0)
        prepare(dataset, file, folder / f"{len(images)}.h5")
        spec = feature_spec(dataset, spec_of(case, precision))
        output = folder / f"features-{fingerprint(spec)[:8]}.h5"
        output.unlink(missing_ok=True)
        extract(folder / f"{len(images)}.h5", file, spec, None, output, graphs())
        with open_features(output) as features:
            taken = features.record["seconds"]
        return float(taken["total"] - taken["start"])

    return seconds


def engine_alone(case: dict[str, Any], precision: str) -> Seconds:
    """Headstart's engine on images in memory: neither reading nor writing."""
    from features.engines import choose, prepare
    from features.engines.graph import Graph

    graph = Graph(spec_of(case, precision), None, (case["side"], case["side"]), 0)
    prepared = prepare(choose("auto"), graph, graphs(), THREADS)
    engine = prepared.compile(list(prepared.layers))

    def seconds(images: np.ndarray) -> float:
        batches = (images[i : i + engine.batch] for i in range(0, len(images), engine.batch))
        start = time.perf_counter()
        for _ in engine.run(batches):
            pass
        return time.perf_counter() - start

    return seconds


def predict(case: dict[str, Any]) -> Seconds:
    """What a tutorial does: Keras' own predict, with the resize in the model."""
    model = pooled(case)

    def seconds(images: np.ndarray) -> float:
        start = time.perf_counter()
        model.predict(images, batch_size=PREDICT_BATCH, verbose=0)
        return time.perf_counter() - start

    return seconds


def onnxruntime(case: dict[str, Any]) -> Seconds:
    """ONNX Runtime on the graph that Keras exports."""
    import onnxruntime as ort

    file = Path(tempfile.mkdtemp()) / "model.onnx"
    model = pooled(case)
    model(images_of(case, 1))
    model.export(file, format="onnx", verbose=False)
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()

    def run(images: np.ndarray, batch: int) -> None:
        for start in range(0, len(images), batch):
            session.run(None, {given.name: images[start : start + batch]})

    return best_batch(case, run)


def tflite(case: dict[str, Any]) -> Seconds:
    """TFLite, with XNNPACK, on the graph that its converter makes."""
    import tensorflow as tf

    model = pooled(case)
    runners: dict[int, Any] = {}
    for batch in BATCHES:
        traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(
            tf.TensorSpec((batch, case["side"], case["side"], 3), tf.uint8)
        )
        converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], model)
        runner = tf.lite.Interpreter(model_content=converter.convert(), num_threads=THREADS)
        runner.allocate_tensors()
        runners[batch] = runner

    def run(images: np.ndarray, batch: int) -> None:
        runner = runners[batch]
        place = runner.get_input_details()[0]["index"]
        places = [output["index"] for output in runner.get_output_details()]
        for start in range(0, len(images) - batch + 1, batch):
            runner.set_tensor(place, images[start : start + batch])
            runner.invoke()
            for output in places:
                runner.get_tensor(output)

    return best_batch(case, run)


def best_batch(case: dict[str, Any], run: Callable[[np.ndarray, int], None]) -> Seconds:
    """The seconds of a peer at the batch that suits it."""
    few = images_of(case, max(BATCHES))
    taken = {}
    for batch in BATCHES:
        run(few, batch)
        start = time.perf_counter()
        run(few, batch)
        taken[batch] = time.perf_counter() - start
    batch = min(taken, key=taken.__getitem__)

    def seconds(images: np.ndarray) -> float:
        start = time.perf_counter()
        run(images, batch)
        return time.perf_counter() - start

    return seconds


def pooled(case: dict[str, Any]) -> Any:
    """What Headstart computes as a plain Keras model: resize, preprocessing, backbone, stages."""
    import keras

    from features.backbones.build import build_backbone
    from features.backbones.pooled import preprocess
    from features.backbones.stages import stages

    spec = spec_of(case)
    backbone = build_backbone(spec, None)
    outputs = {operation.name: operation.output for operation in backbone.operations}
    trunk = keras.Model(backbone.inputs, [outputs[name] for name in stages(backbone)])
    images = keras.Input((case["side"], case["side"], 3), dtype="uint8")
    x = keras.layers.Resizing(*spec.size)(keras.ops.cast(images, "float32"))
    activations = trunk(preprocess(x, spec.preprocessing), training=False)
    return keras.Model(images, [keras.layers.GlobalAveragePooling2D()(a) for a in activations])


def graphs() -> Path:
    """Where converted graphs are kept from one run to the next."""
    return Path(tempfile.gettempdir()) / "headstart-benchmark-graphs"


CONTESTANTS: dict[str, Callable[[dict[str, Any]], Seconds]] = {
    "fast": lambda case: whole_pass(case, "fast"),
    "exact": lambda case: whole_pass(case, "exact"),
    "engine": lambda case: engine_alone(case, "fast"),
    "keras predict": predict,
    "ONNX Runtime": onnxruntime,
    "TFLite": tflite,
}


def main() -> None:
    """Answers until its input ends."""
    # Libraries print; what is answered has a channel of its own.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    name, case = sys.argv[1], json.loads(sys.argv[2])
    try:
        seconds = CONTESTANTS[name](case)
        seconds(images_of(case, 64))
    except Exception as error:
        answers.write(f"cannot: {type(error).__name__}: {str(error).splitlines()[0][:120]}\n")
        return
    answers.write("ready\n")
    images = images_of(case, 0)
    for line in sys.stdin:
        if len(images) != int(line):
            images = images_of(case, int(line))
        answers.write(f"{seconds(images)}\n")


if __name__ == "__main__":
    main()
