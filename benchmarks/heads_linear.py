"""Seconds to fit the linear heads, against scikit-learn's solvers of the same objectives.

Peers get features that are
standardised already; ours standardise by themselves, within the seconds. Where both minimise one
objective, each runs at the loosest tolerance of its grid that comes within a relative 1e-4 of the
minimum, judged in float64; both stop there, one is not stopped earlier than the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from data import Data, data_of
from scipy.special import log_softmax
from sklearn.base import clone
from table import Row, compare

from classifiers.heads import logistic, ridge, svm

WITHIN = 1e-4
TOLERANCES = (1e-4, 1e-5, 1e-6, 1e-7)
HELD = 5000
GRID = [float(C) for C in np.geomspace(1e-4, 0.1, 10)]
ALPHAS = [float(alpha) for alpha in np.geomspace(1e5, 1, 50)]


def seconds(work: Callable[[], Any]) -> float:
    """What it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(sides: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """The seconds of each side, all of them in turn, `repeats` times."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, work in sides.items():
            taken[name].append(seconds(work))
            print(f"  {name}: {taken[name][-1]:.2f} s", flush=True)
    return taken


def weights(head: Any, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Ours for standardised features."""
    X = data.X.astype(np.float64)
    deviation, mean = X.std(axis=0), X.mean(axis=0)
    return head.coef_ * deviation, head.intercept_ + head.coef_ @ mean


def log_loss(W: np.ndarray, b: np.ndarray, data: Data, C: float) -> float:
    """The objective of multinomial logistic regression, in float64."""
    lost = -log_softmax(data.Z @ W.T + b, axis=1)[np.arange(len(data.y)), data.y].sum()
    return float(C * lost + (W**2).sum() / 2)


def hinge_loss(W: np.ndarray, b: np.ndarray, data: Data, C: float) -> float:
    """The objective of the linear SVM, summed over the classes, in float64."""
    sign = np.where(data.y[:, None] == np.arange(len(W)), 1.0, -1.0)
    slack = np.maximum(1 - sign * (data.Z @ W.T + b), 0)
    return float(C * (slack**2).sum() + (W**2).sum() / 2)


def at(tolerance: float, head: Any, data: Data) -> Any:
    """Ours, fitted to another tolerance than its default."""
    other = clone(head)
    other._path = partial(other._path, tolerance=tolerance)
    return other.fit(data.X, data.y)


def loosest(
    fit: Callable[[float], tuple[np.ndarray, np.ndarray]],
    objective: Callable[[np.ndarray, np.ndarray], float],
    least: float,
    tolerances: Sequence[float],
) -> float:
    """The first tolerance at which a fit comes near enough to the least objective, or the last."""
    for tolerance in tolerances:
        above = objective(*fit(tolerance)) / least - 1
        print(f"    tolerance {tolerance:g}: {above:.1e} above the minimum", flush=True)
        if above <= WITHIN:
            break
    return tolerance


def logistic_case(data: Data, repeats: int, C: float) -> list[Row]:
    """One fit against scikit-learn's two solvers for many rows."""
    from sklearn.linear_model import LogisticRegression

    def peer(solver: str, tolerance: float) -> Any:
        head = LogisticRegression(C=C, solver=solver, tol=tolerance, max_iter=2000)
        return head.fit(data.Z, data.y)

    def of_peer(head: Any) -> tuple[np.ndarray, np.ndarray]:
        return head.coef_.astype(np.float64), head.intercept_.astype(np.float64)

    def objective(W: np.ndarray, b: np.ndarray) -> float:
        return log_loss(W, b, data, C)

    head = logistic.LogisticClassifier(C=C)
    least = objective(*weights(at(1e-9, head, data), data))
    own = loosest(lambda t: weights(at(t, head, data), data), objective, least, TOLERANCES)
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: at(own, head, data),
        "ours by default": lambda: head.fit(data.X, data.y),
    }
    for solver, grid in (("lbfgs", (1e-3, 1e-4, 1e-5)), ("newton-cg", (1e-2, 1e-3, 1e-4))):
        best = loosest(lambda t, s=solver: of_peer(peer(s, t)), objective, least, grid)
        sides[solver] = lambda s=solver, t=best: peer(s, t)
    taken = in_turn(sides, repeats)
    case = f"logistic, C={C:g}, {data.shape}"
    return [
        compare(f"{case}{how}", taken[side], f"scikit-learn {solver}", taken[solver])
        for side, how in (("ours", ""), ("ours by default", ", to its default tolerance"))
        for solver in ("lbfgs", "newton-cg")
    ]


def logistic_path_case(data: Data, repeats: int) -> list[Row]:
    """Ten values of C, scored on held-out rows, against one fit of ours at their middle."""
    head = logistic.LogisticClassifier(C=GRID[3])
    candidates = [{"C": C} for C in GRID]
    held = data.X[:HELD]
    taken = in_turn(
        {
            "path": lambda: list(logistic.path(candidates, data.X, data.y, held, seed=0)),
            "fit": lambda: head.fit(data.X, data.y),
        },
        repeats,
    )
    four = [4 * second for second in taken["fit"]]
    case = f"logistic, path of {len(GRID)} C, {data.shape}"
    return [compare(case, taken["path"], f"4 fits of ours at C={head.C:.2g}", four)]


def svm_case(data: Data, repeats: int, C: float) -> list[Row]:
    """One fit against LIBLINEAR's dual coordinate descent, its faster way on many rows.

    It penalises the intercept, which a large `intercept_scaling` makes up for.
    """
    from sklearn.svm import LinearSVC

    def peer(tolerance: float) -> Any:
        head = LinearSVC(C=C, tol=tolerance, dual=True, intercept_scaling=30, random_state=0)
        return head.fit(data.Z, data.y)

    def objective(W: np.ndarray, b: np.ndarray) -> float:
        return hinge_loss(W, b, data, C)

    head = svm.LinearSVMClassifier(C=C)
    least = objective(*weights(at(1e-9, head, data), data))
    own = loosest(lambda t: weights(at(t, head, data), data), objective, least, TOLERANCES)

    def fit_peer(tolerance: float) -> tuple[np.ndarray, np.ndarray]:
        fitted = peer(tolerance)
        return fitted.coef_, fitted.intercept_

    best = loosest(fit_peer, objective, least, (0.1, 0.01, 0.001))
    taken = in_turn({"ours": lambda: at(own, head, data), "peer": lambda: peer(best)}, repeats)
    return [
        compare(f"svm, C={C:g}, {data.shape}", taken["ours"], "LinearSVC", taken["peer"]),
    ]


def ridge_path_case(data: Data, repeats: int) -> list[Row]:
    """Fifty penalties, scored on held-out rows, against one fit of scikit-learn's Ridge."""
    from sklearn.linear_model import Ridge

    candidates = [{"alpha": alpha} for alpha in ALPHAS]
    targets = np.where(data.y[:, None] == np.unique(data.y), 1, -1).astype(np.float32)
    taken = in_turn(
        {
            "path": lambda: list(ridge.path(candidates, data.X, data.y, data.X[:HELD], seed=0)),
            "peer": lambda: Ridge(alpha=100.0).fit(data.Z, targets),
        },
        repeats,
    )
    three = [3 * second for second in taken["peer"]]
    case = f"ridge, path of {len(ALPHAS)} alphas, {data.shape}"
    return [compare(case, taken["path"], "3 fits of scikit-learn's Ridge", three)]


def measured(quick: bool) -> list[Row]:
    """All cases."""
    repeats = 1 if quick else 3
    rows: list[Row] = []
    for width in (1280,) if quick else (1280, 2048):
        data = data_of(10_000 if quick else 50_000, width)
        print(data.shape, flush=True)
        rows += logistic_case(data, repeats, C=1e-3)
        rows += logistic_path_case(data, repeats)
        rows += svm_case(data, repeats, C=3e-4)
        rows += ridge_path_case(data, repeats)
    return rows
