"""Seconds of the heads that work on pairs of images: nearest neighbours and the Gaussian SVM.

The peers are faiss' flat index, which is as exact as ours, and the SVC of scikit-learn-intelex.
Both sides run in turn on the same standardised float32 features, on all cores.
"""

from __future__ import annotations

import time

import numpy as np
from table import Row, arguments, compare, show

from classifiers.heads.knn import KnnClassifier
from classifiers.heads.rbf_svm import RbfSvmClassifier

CLASSES = 10

DISTANCE = 7.0
"""Of two clusters' centres, in standard deviations of a cluster."""


def made(rows: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features of overlapping classes, most of whose variance is in a few directions.

    Returns:
        float32 (rows, width) and labels (rows,).
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8 * CLASSES, width)) * DISTANCE / np.sqrt(2 * width)
    mixing = rng.normal(size=(width, width)) * np.linspace(1, 0, width) ** 3
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, len(centres), rows)
    values = rng.normal(size=(rows, width)).astype(np.float32)
    values += centres[clusters].astype(np.float32)
    values = values @ mixing.astype(np.float32).T
    return (values - values.mean(axis=0)) / values.std(axis=0), clusters % CLASSES


def neighbours(
    values: np.ndarray, labels: np.ndarray, held: np.ndarray, metric: str, k: int, repeats: int
) -> Row:
    """Predicting held rows by their k neighbours, against faiss finding them.

    Ours standardises and counts votes besides.

    Raises:
        RuntimeError: Neighbours differ by more than rounding.
    """
    import faiss

    head = KnnClassifier(k, metric).fit(values, labels)
    scaled, asked = head.scaler_.transform(values), head.scaler_.transform(held)
    if metric == "cosine":
        faiss.normalize_L2(scaled)
        faiss.normalize_L2(asked)
    flat = faiss.IndexFlatIP if metric == "cosine" else faiss.IndexFlatL2
    index = flat(values.shape[1])
    index.add(scaled)
    ours, theirs = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        votes = head.predict_proba(held)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        _, found = index.search(asked, k)
        theirs.append(time.perf_counter() - start)
    counted = np.stack([np.bincount(row, minlength=CLASSES) for row in labels[found]]) / k
    same = np.isclose(votes, counted).all(axis=1).mean()
    if same < 0.999:
        raise RuntimeError(f"only {same:.2%} of the votes agree with faiss")
    case = f"kNN, {metric}, k={k}, {len(held):,} on {len(values):,} x {values.shape[1]}"
    return compare(case, ours, f"faiss {flat.__name__}", theirs)


def gaussian_svm(
    values: np.ndarray,
    labels: np.ndarray,
    held: np.ndarray,
    truth: np.ndarray,
    components: int,
    repeats: int,
) -> Row:
    """Fitting a Gaussian SVM and predicting; the accuracies are part of the case.

    Each side has the settings of a few tried that were the most accurate on validation images of
    CIFAR-10 through MobileNetV2 0.35.
    """
    from sklearnex.svm import SVC

    ours, theirs, accuracy = [], [], {}
    for _ in range(repeats):
        start = time.perf_counter()
        head = RbfSvmClassifier(C=3.0, gamma=0.5, components=components).fit(values, labels)
        accuracy["ours"] = (head.predict(held) == truth).mean()
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        peer = SVC(C=5.0, gamma=0.5 / values.shape[1]).fit(values, labels)
        accuracy["peer"] = (peer.predict(held) == truth).mean()
        theirs.append(time.perf_counter() - start)
    case = (
        f"RBF SVM, fit and predict, {len(values):,} x {values.shape[1]}, {components:,} landmarks: "
        f"{accuracy['ours']:.1%} against {accuracy['peer']:.1%}"
    )
    return compare(case, ours, "scikit-learn-intelex SVC", theirs)


def main() -> None:
    """Measures and shows."""
    options = arguments(str(__doc__).splitlines()[0])
    rows = []
    for width in (1280, 2160):
        size, asked, repeats = (10_000, 2_000, 1) if options.quick else (50_000, 10_000, 3)
        values, labels = made(size + asked, width, seed=1)
        values, held, labels, truth = values[:size], values[size:], labels[:size], labels[size:]
        for metric in ("cosine", "euclidean"):
            rows.append(neighbours(values, labels, held, metric, 20, repeats))
        rows.append(gaussian_svm(values, labels, held, truth, 4096, 1))
    show(rows, options.json)


if __name__ == "__main__":
    main()
