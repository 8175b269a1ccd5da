"""Whichever engine runs, the features are TensorFlow's in float32, within the stated tolerances."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.backbones.build import build_backbone
from features.backbones.pooled import pooled_model
from features.backbones.registry import ARCHITECTURES
from features.backbones.spec import BackboneSpec
from features.engines import (
    BFLOAT16_TOLERANCE,
    ENGINES,
    FLOAT32_TOLERANCE,
    choose,
    prepare,
)
from features.engines.batch import fits
from features.engines.convert import converted
from features.engines.graph import Graph
from features.errors import UserError

IMAGES = np.random.default_rng(0).integers(0, 256, (37, 20, 28, 3), dtype=np.uint8)


def spec_of(name: str, precision: str) -> BackboneSpec:
    architecture = ARCHITECTURES[name]
    side = 64 if name != "Embedded" else 32
    return BackboneSpec(
        architecture=name,
        alpha=min(architecture.alphas, default=1.0),
        size=(side, side),
        resize="crop",
        interpolation="bilinear",
        preprocessing=architecture.preprocessing,
        weights="embedded" if name == "Embedded" else "random",
        views=("identity",),
        precision=precision,
        dtype="float32",
    )


def graph_of(spec: BackboneSpec) -> Graph:
    return Graph(spec, None, (20, 28), extractor=0)


def elsewhere(engine: str, spec: BackboneSpec, graphs: Path) -> tuple[str, list[np.ndarray]]:
    """The same in a process of its own, in which Keras runs on that engine."""
    file = graphs / f"{spec.architecture}-{spec.precision}.npz"
    # From a file, for each engine draws random weights of its own.
    weights = file.with_suffix(".weights.h5")
    build_backbone(spec, None).save_weights(weights)
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import numpy as np\nfrom pathlib import Path\nfrom test_engines import run, spec_of\n"
        f"ran, layers = run({engine!r}, spec_of({spec.architecture!r}, {spec.precision!r}), "
        f"Path({str(graphs)!r}), Path({str(weights)!r}))\n"
        f"np.savez({str(file)!r}, *layers, ran=ran)"
    )
    environment = os.environ | {"KERAS_BACKEND": engine, "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    with np.load(file) as kept:
        return str(kept["ran"]), [kept[name] for name in kept.files if name != "ran"]


def run(
    engine: str, spec: BackboneSpec, graphs: Path, weights: Path | None = None
) -> tuple[str, list[np.ndarray]]:
    """The precision that ran, and every layer's features of all images."""
    prepared = prepare(engine, replace(graph_of(spec), weights=weights), graphs, 2)
    compiled = prepared.compile(list(prepared.layers))
    starts = range(0, len(IMAGES), compiled.batch)
    computed = list(compiled.run(IMAGES[i : i + compiled.batch] for i in starts))
    assert sum(len(layers[0]) for layers in computed) == len(IMAGES), "the last batch is not full"
    return compiled.precision, [np.concatenate(layers) for layers in zip(*computed, strict=True)]


def reference(spec: BackboneSpec) -> list[np.ndarray]:
    model, _ = pooled_model(build_backbone(spec, None), spec, (20, 28))
    return [np.asarray(layer) for layer in model(IMAGES, training=False)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("precision", ["exact", "fast"])
@pytest.mark.parametrize("name", ["Embedded", "MobileNetV2", "EfficientNetV2B0"])
def test_every_installed_engine_agrees_with_tensorflow_in_float32(
    engine: str, precision: str, name: str, graphs: Path
) -> None:
    if importlib.util.find_spec(engine) is None:
        pytest.skip(f"{engine} is not installed")
    spec = spec_of(name, precision)
    graphs.mkdir(exist_ok=True)
    ran, layers = (elsewhere if engine == "jax" else run)(engine, spec, graphs)
    assert ran in (("float32",) if precision == "exact" else ("float32", "bfloat16"))
    tolerance = FLOAT32_TOLERANCE if ran == "float32" else BFLOAT16_TOLERANCE
    for ours, theirs in zip(layers, reference(spec), strict=True):
        assert np.linalg.norm(ours - theirs) <= tolerance * np.linalg.norm(theirs)


def test_only_what_is_wanted_is_computed_in_the_order_asked_for(graphs: Path) -> None:
    spec = spec_of("Embedded", "exact")
    for engine in ("openvino", "tensorflow"):
        if importlib.util.find_spec(engine) is None:
            continue
        prepared = prepare(engine, graph_of(spec), graphs, 2)
        names = list(prepared.layers)
        every = next(iter(prepared.compile(names).run([IMAGES[:2]])))
        last, first = next(iter(prepared.compile([names[-1], names[0]]).run([IMAGES[:2]])))
        np.testing.assert_allclose(last, every[-1], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(first, every[0], rtol=1e-4, atol=1e-5)


def test_an_engine_that_is_not_installed_is_told_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jax" else find(name)
    )
    with pytest.raises(UserError, match=r"jax is not installed; there are .*tensorflow"):
        choose("jax")
    assert choose("auto") in ENGINES


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="no OpenVINO")
def test_a_converted_graph_is_kept_and_a_damaged_one_made_anew(tmp_path: Path) -> None:
    graph = graph_of(spec_of("Embedded", "exact"))
    folder, layers, facts = converted(graph, tmp_path)
    model = folder / "model.bin"
    made = model.stat().st_mtime_ns
    whole = model.read_bytes()
    assert converted(graph, tmp_path) == (folder, layers, facts)
    assert model.stat().st_mtime_ns == made
    model.write_bytes(whole[:-4] + b"\1\2\3\4")
    converted(graph, tmp_path)
    assert model.read_bytes() == whole


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="no OpenVINO")
def test_views_and_precision_share_a_converted_graph() -> None:
    spec = spec_of("Embedded", "exact")
    same = replace(spec, precision="fast", views=("mirror",), dtype="float16")
    assert graph_of(spec).fingerprint() == graph_of(same).fingerprint()
    assert graph_of(spec).fingerprint() != graph_of(replace(spec, resize="pad")).fingerprint()


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="no OpenVINO")
def test_with_a_converted_graph_neither_keras_nor_tensorflow_is_loaded(graphs: Path) -> None:
    """They cost five seconds and half a gigabyte."""
    spec = spec_of("Embedded", "exact")
    converted(graph_of(spec), graphs)
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from features.backbones.spec import BackboneSpec
from features.engines import prepare
from features.engines.graph import Graph
prepared = prepare("openvino", Graph({spec!r}, None, (20, 28), 0), Path({str(graphs)!r}), 2)
prepared.compile(list(prepared.layers))
print(sorted({{"keras", "tensorflow"}} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ
    )
    assert result.stdout.strip() == "[]", result.stderr


class OutOfMemoryError(Exception):
    pass


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    tried = []

    def attempt(size: int) -> None:
        tried.append(size)
        if size > 100:
            raise OutOfMemoryError("RESOURCE_EXHAUSTED: Out of memory")

    assert fits(attempt, 512, OutOfMemoryError) == 64
    assert tried == [512, 256, 128, 64]


def test_a_device_without_room_for_one_image_is_told() -> None:
    def attempt(size: int) -> None:
        raise OutOfMemoryError("out of memory")

    with pytest.raises(UserError, match="does not take a single image"):
        fits(attempt, 4, OutOfMemoryError)


def test_another_error_of_the_device_is_not_taken_for_lack_of_memory() -> None:
    def attempt(size: int) -> None:
        raise OutOfMemoryError("a bug")

    with pytest.raises(OutOfMemoryError):
        fits(attempt, 4, OutOfMemoryError)
