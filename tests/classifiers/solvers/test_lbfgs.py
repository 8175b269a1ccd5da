"""The minimiser on functions whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers.solvers.lbfgs import minimise


def quadratic(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A Hessian of condition 1e4, and where the minimum is."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(size, size)))
    return (turned * np.geomspace(1, 1e4, size)) @ turned.T, rng.normal(size=size)


@pytest.mark.parametrize(("size", "seed"), [(5, 0), (12, 1), (30, 2)])
@pytest.mark.parametrize("wrong", [0.01, 1.0, 100.0])
def test_it_ends_within_the_tolerance_and_at_once_with_the_hessian_itself(
    size: int, seed: int, wrong: float
) -> None:
    hessian, least = quadratic(size, seed)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        slope = hessian @ (x - least)
        return 1 + float((x - least) @ slope) / 2, slope

    start = np.zeros(size)
    plain = minimise(objective, np.copy, start, tolerance=1e-8, evaluations=2000)
    assert plain.converged
    assert plain.value - 1 < 1e-5
    inverse = np.linalg.inv(hessian) * wrong
    exact = minimise(objective, lambda g: inverse @ g, start, tolerance=1e-8, evaluations=100)
    assert exact.converged
    assert exact.value - 1 < 1e-6
    assert exact.evaluations <= 14


def test_out_of_evaluations_it_gives_the_best_it_found_and_says_so() -> None:
    hessian, least = quadratic(20, 0)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float((x - least) @ hessian @ (x - least)) / 2 + 1, hessian @ (x - least)

    found = minimise(objective, lambda g: g / 1e4, np.zeros(20), tolerance=1e-12, evaluations=5)
    assert (found.evaluations, found.converged) == (5, False)
    assert found.value == objective(found.x)[0] < objective(np.zeros(20))[0]
    assert found.gap > 0


def test_a_step_that_would_climb_is_shortened() -> None:
    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        return float(np.logaddexp(x, -x).sum() + 1e-3 * x @ x), np.tanh(x) + 2e-3 * x

    found = minimise(
        objective, lambda g: 1e4 * g, np.array([3.0, -2.0]), tolerance=1e-9, evaluations=100
    )
    assert found.converged
    assert found.x == pytest.approx(0, abs=1e-3)
