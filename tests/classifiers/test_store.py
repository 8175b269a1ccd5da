"""A saved head is the head; what is no head is refused before any code in it could run."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from classifiers.heads import make_head
from classifiers.store import load_head, read_json, save_head, write_json
from features.errors import UserError

HEADS = {
    "logistic": {"C": 0.1},
    "svm": {"C": 0.1},
    "ridge": {"alpha": 1.0},
    "knn": {"k": 3, "metric": "cosine"},
}


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.array([0, 2, 3] * 20)
    return (rng.normal(size=(60, 5)) + labels[:, None]).astype(np.float32), labels


@pytest.mark.parametrize("type", HEADS)
def test_a_loaded_head_predicts_as_the_saved_one(
    type: str, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    head = make_head(type, HEADS[type], 0).fit(*problem)
    (tmp_path / "head.keras").touch()  # of a run that has since changed its type
    path = save_head(head, tmp_path)
    loaded = load_head(path)
    assert path == tmp_path / "head.skops"
    assert [entry.name for entry in tmp_path.iterdir()] == ["head.skops"]
    assert np.array_equal(loaded.classes_, [0, 2, 3])
    method = "predict_proba" if hasattr(head, "predict_proba") else "decision_function"
    values = problem[0]
    assert np.array_equal(getattr(loaded, method)(values), getattr(head, method)(values))


@pytest.mark.parametrize("name", ["head.skops", "head.keras"])
def test_a_pickle_under_a_head_s_name_is_refused_unopened(name: str, tmp_path: Path) -> None:
    path, trace = tmp_path / name, tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(UserError, match="not a whole head"):
        load_head(path)
    assert not trace.exists()


def test_a_type_that_is_not_trusted_is_refused_unopened(tmp_path: Path) -> None:
    from skops.io import dump

    path, trace = tmp_path / "head.skops", tmp_path / "trace"
    dump({"head": Bomb(trace)}, path)
    with pytest.raises(UserError, match=r"not a whole head.*Bomb"):
        load_head(path)
    assert not trace.exists()


def test_a_trusted_object_that_is_no_head_is_refused(tmp_path: Path) -> None:
    from skops.io import dump

    dump({"a": 1}, tmp_path / "head.skops")
    with pytest.raises(UserError, match="holds a dict"):
        load_head(tmp_path / "head.skops")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_head_is_refused(
    share: float, problem: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    path = save_head(make_head("ridge", {"alpha": 1.0}, 0).fit(*problem), tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"head\.skops: not a whole head"):
        load_head(path)


def test_any_zip_is_no_head(tmp_path: Path) -> None:
    for name in ("head.skops", "head.keras"):
        with zipfile.ZipFile(tmp_path / name, "w") as file:
            file.writestr("schema.json", "{}")
        with pytest.raises(UserError, match="not a whole head"):
            load_head(tmp_path / name)


@pytest.mark.parametrize("name", ["head.skops", "head.pickle"])
def test_a_missing_or_foreign_file_is_told(name: str, tmp_path: Path) -> None:
    (tmp_path / "head.pickle").touch()
    with pytest.raises(UserError, match=f"{name}: no "):
        load_head(tmp_path / name)


def test_json_comes_back_and_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "fit.json"
    write_json(path, {"a": [1, None, 0.1]})
    assert read_json(path) == {"a": [1, None, 0.1]}
    path.write_text('{"a": ')
    with pytest.raises(UserError, match="damaged"):
        read_json(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path / "other.json")
