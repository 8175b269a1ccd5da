"""Files and folders of images: any that can be read is, and one that cannot stops none."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from classifiers.export.folder import Exported
from classifiers.predict.engines import Engine
from classifiers.predict.files import Prediction, files_of, predict_files
from classifiers.predict.model import Model
from classifiers.predict.told import write
from features.errors import UserError

EXPORTED = Exported("", "mine", "net.head.0", "lda", ["dark", "bright"], {}, None, None, {}, [], {})


def brightness(images: Sequence[np.ndarray]) -> np.ndarray:
    bright = np.array([image.mean() / 255 for image in images])
    return np.stack([1 - bright, bright], axis=1).astype(np.float32)


MODEL = Model(EXPORTED, Engine(brightness, mixed=True))


def save(path: Path, colour: int, size: tuple[int, int] = (8, 6)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (colour, colour, colour)).save(path)
    return path


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "broken"]), st.integers(0, 255)), max_size=70))
def test_every_file_is_told_of_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    paths = []
    for number, (kind, colour) in enumerate(files):
        path = folder / f"{number:03d}.png"
        if kind == "broken":
            path.write_bytes(b"no image")
        else:
            save(path, colour, (8, 6) if kind == "a" else (5, 9))
        paths.append(path)
    found = list(predict_files(MODEL, paths, top=2))
    assert [one.file for one in found] == paths
    for (kind, colour), one in zip(files, found, strict=True):
        assert (one.error is not None) == (kind == "broken")
        if one.error is None:
            assert dict(one.top)["bright"] == pytest.approx(colour / 255, abs=1e-6)


def test_thousands_are_streamed(tmp_path: Path) -> None:
    path = save(tmp_path / "one.png", 200)
    asked = 0

    def files() -> Iterable[Path]:
        nonlocal asked
        for _ in range(5000):
            asked += 1
            yield path

    told = predict_files(MODEL, files(), top=1)
    next(told)
    assert asked < 200
    assert sum(1 for _ in told) == 4999


def test_what_is_taken_of_a_folder(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/1.png", "b/3.jfif", "a.webp", ".hidden/x.png", ".y.png"):
        save(tmp_path / name, 0)
    (tmp_path / "notes.txt").write_text("x")
    names = [str(file.relative_to(tmp_path)) for file in files_of([tmp_path])]
    assert names == ["a.webp", "b/1.png", "b/2.JPG", "b/3.jfif"]
    with pytest.raises(UserError, match="no image in it"):
        (tmp_path / "empty").mkdir()
        list(files_of([tmp_path / "empty"]))
    with pytest.raises(UserError, match="no such file"):
        list(files_of([tmp_path / "nowhere.png"]))


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it is 30,000 pixels wide and high."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def test_odd_images(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "text.jpg").write_text("no image at all")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGB").save(whole, "JPEG")
    (tmp_path / "cut.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    save(tmp_path / "one.png", 255, (1, 1))
    save(tmp_path / "wide.png", 255, (20_000, 2))
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    grey = np.full((8, 8), 65535, np.uint16)
    Image.fromarray(grey).save(tmp_path / "sixteen.png")
    found = {one.file.name: one for one in predict_files(MODEL, files_of([tmp_path]), top=1)}
    assert {name for name, one in found.items() if one.error} == {
        "bomb.png",
        "text.jpg",
        "empty.png",
        "cut.jpg",
    }
    assert "decompression bomb" in str(found["bomb.png"].error)
    for name in ("one.png", "wide.png", "moving.gif", "sixteen.png"):
        assert found[name].top == [("bright", pytest.approx(1.0, abs=1e-6))], name


def test_a_folder_in_place_of_a_file_and_one_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.png").mkdir()
    (one,) = predict_files(MODEL, [tmp_path / "x.png"], top=1)
    assert "directory" in str(one.error).lower()


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_forms(form: str) -> None:
    said = [
        Prediction(Path("a, b.png"), [("bright", 0.75), ("dark", 0.25)]),
        Prediction(Path("c.png"), [], "the file is empty"),
    ]
    out = io.StringIO()
    assert write(said, form, 2, out) == (1, 1)
    lines = out.getvalue().splitlines()
    if form == "json":
        first, second = map(json.loads, lines)
        assert first == {
            "file": "a, b.png",
            "top": [{"class": "bright", "p": 0.75}, {"class": "dark", "p": 0.25}],
        }
        assert second == {"file": "c.png", "error": "the file is empty"}
    elif form == "csv":
        import csv

        rows = list(csv.DictReader(lines))
        assert rows[0]["file"] == "a, b.png"
        assert (rows[0]["class_2"], rows[0]["p_2"], rows[0]["error"]) == ("dark", "0.250000", "")
        assert (rows[1]["class_1"], rows[1]["error"]) == ("", "the file is empty")
    else:
        assert "bright  75.0 %" in lines[0]
        assert "the file is empty" in lines[1]
