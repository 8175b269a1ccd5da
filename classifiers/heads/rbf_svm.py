"""Support vector machine with a Gaussian kernel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.solvers.kernel import gaussian, minimise
from classifiers.standardise import standardiser
from features.errors import UserError

APPROXIMATIONS = ("auto", "exact", "nystroem")


def make(
    *, C: float, gamma: float, approximation: str, components: int, seed: int
) -> RbfSvmClassifier:
    """One SVM with a Gaussian kernel a class; the smaller `C`, the stronger the penalty.

    Raises:
        UserError: The approximation is unknown.
    """
    if approximation not in APPROXIMATIONS:
        raise UserError(
            f"head rbf_svm: no approximation {approximation!r}; "
            f"allowed: {', '.join(APPROXIMATIONS)}"
        )
    return RbfSvmClassifier(C, gamma, approximation, components, seed)


class RbfSvmClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """One SVM a class against the rest: Gaussian kernel, squared hinge, l2 penalty.

    Minimises |f|^2 / 2 + C sum max(0, 1 - y f(x))^2 over the functions f that the landmarks span
    under the kernel k(x, x') = exp(-gamma |x - x'|^2 / D) + 1, on standardised features of which
    D vary; its 1 is an intercept, penalised as liblinear's is. With all training rows as
    landmarks that is the support vector machine itself, with some of them, drawn at random, its
    Nystroem approximation (Williams, C. and Seeger, M. (2001): Using the Nystroem method to speed
    up kernel machines. NIPS 13).

    Attributes:
        classes_: The labels seen in training, sorted.
        scaler_: The standardisation.
        gamma_: What multiplies squared distances.
        landmarks_: Standardised training rows, float32 (landmarks, features).
        weights_: What each landmark weighs for each class, float32 (landmarks, classes); of two
            classes for the second alone, (landmarks, 1).
    """

    def __init__(
        self,
        C: float = 1.0,
        gamma: float = 1.0,
        approximation: str = "auto",
        components: int = 4096,
        seed: int = 0,
    ) -> None:
        """Keeps the settings as they come, as scikit-learn wants it.

        Args:
            C: The inverse of the penalty.
            gamma: The kernel's narrowness; 1 is what scikit-learn calls "scale".
            approximation: "exact": all rows are landmarks, which takes 20 bytes times the square of
                their number; "nystroem": `components` of them are; "auto": the exact machine where
                there are no more rows than `components`.
            components: How many landmarks.
            seed: Of their draw.
        """
        self.C = C
        self.gamma = gamma
        self.approximation = approximation
        self.components = components
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fits on features (n, features) and labels (n,)."""
        values, signs = self._prepare(X, y)
        [(self.weights_, converged)] = minimise(
            self._kernel(values), self._between(), signs, [self.C]
        )
        _tell(converged)
        return self

    def _prepare(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardises, draws landmarks; gives the rows and each class' signs."""
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        if self.approximation not in APPROXIMATIONS:
            raise ValueError(
                f"approximation={self.approximation!r}; allowed: {', '.join(APPROXIMATIONS)}"
            )
        for name in ("C", "gamma", "components"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0")
        self.classes_, targets = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError("the labels are all of one class; at least two are needed")
        self.scaler_ = standardiser(X)
        values = self.scaler_.transform(X)
        varying = np.isfinite(self.scaler_.scale_).sum()
        self.gamma_ = self.gamma / max(1, int(varying))
        self.landmarks_ = values
        if self.approximation != "exact" and self.components < len(values):
            drawn = np.random.default_rng(self.seed).choice(
                len(values), self.components, replace=False
            )
            self.landmarks_ = values[np.sort(drawn)]
        places = np.arange(len(self.classes_))[-1 if len(self.classes_) == 2 else 0 :]
        return values, np.where(targets[:, None] == places, np.float32(1), np.float32(-1))

    def _kernel(self, values: np.ndarray) -> np.ndarray:
        """The kernel of standardised rows with the landmarks."""
        return gaussian(values, self.landmarks_.astype(values.dtype), self.gamma_)

    def _between(self) -> np.ndarray:
        """The landmarks' own kernel, float64, as its factorisation wants it."""
        return self._kernel(self.landmarks_.astype(np.float64))

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Each class' decision value, float32 (n, classes), or (n,) for two classes."""
        check_is_fitted(self, "weights_")
        X = validate_data(self, X, dtype=np.float32, reset=False)
        scores = _scores(self._kernel(self.scaler_.transform(X)), self.weights_)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The label of the greatest decision value, (n,)."""
        scores = self.decision_function(X)
        best = scores.argmax(axis=1) if scores.ndim == 2 else (scores > 0).astype(np.int64)
        labels: np.ndarray = self.classes_[best]
        return labels


def path(
    candidates: Sequence[Mapping[str, Any]],
    X: np.ndarray,
    y: np.ndarray,
    held: np.ndarray,
    *,
    seed: int,
) -> Iterator[np.ndarray]:
    """Scores held rows by every candidate.

    All `C` of one kernel share it and the factor of the landmarks' own; each fit starts from that
    of the next smaller `C`.

    Args:
        candidates: Settings of `make`.
        X: float32 (n, features).
        y: Labels (n,).
        held: float32 (m, features).
        seed: Of the landmarks.

    Yields:
        Decision values, float32 (m, classes), with two columns for two classes.
    """
    done: dict[int, tuple[np.ndarray, bool]] = {}
    for index, settings in enumerate(candidates):
        if index not in done:
            alike = [i for i, other in enumerate(candidates) if _same_kernel(settings, other)]
            alike.sort(key=lambda i: candidates[i]["C"])
            head = make(**settings, seed=seed)
            values, signs = head._prepare(X, y)
            kernel = head._kernel(values)
            seen = head._kernel(head.scaler_.transform(np.asarray(held, np.float32)))
            fits = minimise(kernel, head._between(), signs, [candidates[i]["C"] for i in alike])
            for i, (weights, converged) in zip(alike, fits, strict=True):
                done[i] = _scores(seen, weights), converged
        scores, converged = done.pop(index)
        _tell(converged)
        yield np.hstack([-scores, scores]) if scores.shape[1] == 1 else scores


def _same_kernel(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return {**one, "C": 0} == {**other, "C": 0}


def _scores(kernel: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scores: np.ndarray = kernel @ weights + weights.sum(axis=0)
    return scores


def _tell(converged: bool) -> None:
    if not converged:
        warnings.warn(
            "the SVM did not converge; choose a smaller C", ConvergenceWarning, stacklevel=3
        )
