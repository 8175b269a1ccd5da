"""Heads that vote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers.calibration import read_validation
from classifiers.compare import leaderboard
from classifiers.evaluate import evaluate_head
from classifiers.fit import fit_head
from classifiers.significance import compare_runs
from classifiers.spec import HeadSpec
from classifiers.store import read_json
from classifiers.voting import evaluate_vote, fit_vote
from features.errors import UserError

WriteFeatures = Callable[..., Path]

MEMBERS = {
    "logistic": HeadSpec("logistic", {"C": 0.1}),
    "svm": HeadSpec("svm", {"C": 0.01}),
    "knn": HeadSpec("knn", {"k": 5, "metric": "cosine"}),
}


def members(path: Path, folder: Path, seed: int = 0) -> list[Path]:
    """Fits and evaluates what is to vote."""
    found = []
    for name, head in MEMBERS.items():
        run = folder / f"net.{name}.{seed}"
        fit_head(path, head, run, validation=0.3, seed=seed)
        evaluate_head(path, run)
        found.append(run)
    return found


def scores(folder: Path) -> np.ndarray:
    with np.load(folder / "predictions.npz") as kept:
        found: np.ndarray = kept["scores"]
    return found


def test_a_vote_is_the_mean_of_the_heads_at_their_temperatures(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(240) % 3, test=np.arange(90) % 3, noise=4)
    runs, folder = members(path, tmp_path), tmp_path / "net.vote.0"
    fit_vote(runs, folder, seed=0)
    evaluate_vote(runs, folder)
    metrics = read_json(folder / "metrics.json")
    said = scores(folder)
    assert said.sum(axis=1) == pytest.approx(1, abs=1e-5)
    logistic, decision, knn = (scores(run) for run in runs)
    at = read_json(folder / "fit.json")["temperatures"]

    def soft(values: np.ndarray, temperature: float) -> np.ndarray:
        shares = np.exp(values.astype(float) / temperature)
        found: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
        return found

    logs = [np.log(np.maximum(one, np.finfo(np.float32).eps)) for one in (logistic, knn)]
    expected = (soft(logs[0], at[0]) + soft(decision, at[1]) + soft(logs[1], at[2])) / 3
    assert said == pytest.approx(expected, abs=1e-5)
    fits = [read_json(run / "metrics.json") for run in runs]
    assert metrics["seconds"]["fit"] == sum(one["seconds"]["fit"] for one in fits)
    assert metrics["head_bytes"] == sum(one["head_bytes"] for one in fits)
    assert metrics["settings"] == {"heads": ["net.logistic", "net.svm", "net.knn"]}
    assert metrics["seconds"]["pass"] == 2.0, "one pass serves all that vote"
    held = read_validation(folder)
    assert held is not None
    assert metrics["validation"]["accuracy"] == (held[1].argmax(axis=1) == held[0]).mean()
    leaderboard([run / "metrics.json" for run in (*runs, folder)], tmp_path / "board.csv")
    assert "net,vote,0,,,"[:8] in (tmp_path / "board.csv").read_text()
    compare_runs([run / "metrics.json" for run in (*runs, folder)], tmp_path / "compared.json")


def test_heads_of_other_validation_images_do_not_vote_together(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(240) % 3, test=np.arange(90) % 3)
    one, other = members(path, tmp_path)[0], members(path, tmp_path, seed=1)[0]
    with pytest.raises(UserError, match="different validation images"):
        fit_vote([one, other], tmp_path / "net.vote.0", seed=0)


def test_other_members_than_those_of_the_fit_are_refused(
    write: WriteFeatures, tmp_path: Path
) -> None:
    path = write(train=np.arange(240) % 3, test=np.arange(90) % 3)
    runs, folder = members(path, tmp_path), tmp_path / "net.vote.0"
    fit_vote(runs, folder, seed=0)
    with pytest.raises(UserError, match="other heads vote now"):
        evaluate_vote(runs[:2], folder)
