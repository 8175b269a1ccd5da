"""Seconds of the heads that work on pairs of images: nearest neighbours and the Gaussian SVM.

The peers are faiss' flat index, which is as exact as ours, and the SVC of scikit-learn-intelex.
Both sides run in turn on the same float32 features, on all cores; peers get standardised ones, and
ours standardise by themselves.
"""

from __future__ import annotations

import time

import numpy as np
from data import Data, data_of
from table import Row, compare

from classifiers.heads.knn import KnnClassifier
from classifiers.heads.rbf_svm import RbfSvmClassifier


def neighbours(data: Data, metric: str, k: int, repeats: int) -> Row:
    """Predicting held rows by their k neighbours, against faiss finding them.

    Ours standardises and counts votes besides.

    Raises:
        RuntimeError: Neighbours differ by more than rounding.
    """
    import faiss

    head = KnnClassifier(k, metric).fit(data.X, data.y)
    scaled, asked = head.scaler_.transform(data.X), head.scaler_.transform(data.held)
    if metric == "cosine":
        faiss.normalize_L2(scaled)
        faiss.normalize_L2(asked)
    flat = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    index = flat(scaled.shape[1])
    index.add(scaled)
    ours, theirs = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        votes = head.predict_proba(data.held)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        _, found = index.search(asked, k)
        theirs.append(time.perf_counter() - start)
    counted = np.stack([np.bincount(row, minlength=votes.shape[1]) for row in data.y[found]]) / k
    same = np.isclose(votes, counted).all(axis=1).mean()
    if same < 0.999:
        raise RuntimeError(f"only {same:.2%} of the votes agree with faiss")
    case = f"kNN, {metric}, k={k}, {len(data.held):,} on {data.shape}"
    return compare(case, ours, f"faiss {flat.__name__}", theirs)


def gaussian_svm(data: Data, components: int) -> Row:
    """Fitting a Gaussian SVM and predicting; the accuracies are part of the case.

    Each side has the settings of a few tried that were the most accurate on validation images.
    """
    from sklearnex.svm import SVC

    start = time.perf_counter()
    head = RbfSvmClassifier(C=3.0, gamma=0.5, components=components).fit(data.X, data.y)
    own = (head.predict(data.held) == data.truth).mean()
    ours = time.perf_counter() - start
    start = time.perf_counter()
    peer = SVC(C=5.0, gamma=0.5 / data.Z.shape[1]).fit(data.Z, data.y)
    other = (peer.predict(data.held_Z) == data.truth).mean()
    theirs = time.perf_counter() - start
    case = (
        f"RBF SVM, fit and predict, {data.shape}, {components:,} landmarks: "
        f"{own:.1%} against {other:.1%}"
    )
    return compare(case, [ours], "scikit-learn-intelex SVC", [theirs])


def measured(quick: bool) -> list[Row]:
    """All cases."""
    rows = []
    for width in (1280,) if quick else (1280, 2048):
        data = data_of(10_000 if quick else 50_000, width)
        for metric in ("cosine", "euclidean"):
            rows.append(neighbours(data, metric, 20, 1 if quick else 3))
        rows.append(gaussian_svm(data, 4096))
    return rows
