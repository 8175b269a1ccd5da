"""All that decides which images, with which labels, stand in which split."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetSpec:
    """A data set, named by its content and not by where it lies.

    Attributes:
        source: "cifar10", "cifar100", "digits", "folder", "npz" or "hdf5".
        content: The identity of the images, as `identify` gives it.
        test: Share of the training images that is drawn as test split where the data brings none.
            1.0 makes a further test set, which has only the split "test": the data's own one, or
            all images of data that is not split.
        seed: Of that draw and of the draws of `limit`.
        limit: (split, images) pairs: keep a stratified subset of so many images of that split.
    """

    source: str
    content: str
    test: float
    seed: int
    limit: tuple[tuple[str, int], ...] = ()

    @property
    def only_test(self) -> bool:
        """Whether it is a further test set, all of whose images are test images."""
        return self.test == 1
