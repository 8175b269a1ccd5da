"""CIFAR-10 and CIFAR-100: 60,000 images of 32 x 32 (Krizhevsky 2009).

Taken from where the user put the official archive, or downloaded by Keras. The archive is known by
its sha256, so that the data is the same either way.
"""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from features.datasets.arrays import Arrays, in_memory
from features.datasets.hashing import hash_large_file
from features.datasets.memo import remembered_hash
from features.errors import UserError
from features.keras_home import keras_home

HOST = "www.cs.toronto.edu"
"""Where Keras downloads the archives from."""

CIFAR10_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
CIFAR100_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


@dataclass(frozen=True)
class Official:
    """What is known of an official archive.

    Attributes:
        archive: Its name.
        url: Its address.
        sha256: Its hash, as Keras checks it.
        kept_as: Its name under Keras' own folder.
        folder: The folder in it.
        batches: The files in it, of each split.
        labels: The key of the labels in these files.
        classes: The names of the classes, by label.
    """

    archive: str
    url: str
    sha256: str
    kept_as: str
    folder: str
    batches: Mapping[str, tuple[str, ...]]
    labels: bytes
    classes: tuple[str, ...]


OFFICIAL = {
    "cifar10": Official(
        archive="cifar-10-python.tar.gz",
        url=f"https://{HOST}/~kriz/cifar-10-python.tar.gz",
        sha256="6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
        kept_as="cifar-10-batches-py-target_archive",
        folder="cifar-10-batches-py",
        batches={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        labels=b"labels",
        classes=tuple(CIFAR10_CLASSES.split()),
    ),
    "cifar100": Official(
        archive="cifar-100-python.tar.gz",
        url=f"https://{HOST}/~kriz/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
        kept_as="cifar-100-python-target_archive",
        folder="cifar-100-python",
        batches={"train": ("train",), "test": ("test",)},
        labels=b"fine_labels",
        classes=tuple(CIFAR100_CLASSES.split()),
    ),
}


def archive_at_hand(source: str, path: Path | None) -> Path | None:
    """Finds the official archive without a network.

    Args:
        source: "cifar10" or "cifar100".
        path: Where the user says that it is, if anywhere.

    Returns:
        The first that exists of: `path`, the archive in the folder `data` of the working directory,
        and the one that Keras keeps. None where it would have to be downloaded.
    """
    kept = keras_home() / "datasets" / OFFICIAL[source].kept_as
    candidates = (path, _own_copy(source), kept)
    return next((place for place in candidates if place and place.is_file()), None)


def identify(source: str, path: Path | None, memo: Path) -> str:
    """The identity of the data: the sha256 of the official archive.

    Args:
        source: "cifar10" or "cifar100".
        path: The archive, where the user names it.
        memo: Where hashes are remembered.

    Returns:
        A sha256 in hexadecimal.

    Raises:
        UserError: There is no archive at `path`, or it is not the official one.
    """
    expected = OFFICIAL[source].sha256
    if path:
        if not path.is_file():
            raise UserError(
                f"{path}: there is no such file. dataset.path names {OFFICIAL[source].archive}, "
                f"from {OFFICIAL[source].url}."
            )
        _check_hash(path, remembered_hash(path, memo), expected)
    return expected


def load(source: str, path: Path | None, expected: str) -> Arrays:
    """The images, from the user's archive or else through Keras' own loader, which may download it.

    Args:
        source: "cifar10" or "cifar100" (its 100 fine labels).
        path: The archive, where the user names it.
        expected: The sha256 that the archive must have.

    Returns:
        The data set.

    Raises:
        UserError: The archive is corrupt or another one, or cannot be downloaded.
    """
    official = OFFICIAL[source]
    archive = path or _own_copy(source)
    if path or archive.is_file():
        _check_hash(archive, hash_large_file(archive), expected)
        return in_memory(official.classes, _read(archive, official))

    import keras

    loader = keras.datasets.cifar10 if source == "cifar10" else keras.datasets.cifar100
    try:
        train, test = loader.load_data()
    except Exception as error:  # Keras raises this very type when the download fails
        raise UserError(
            f"{official.archive} cannot be had from {official.url}: {error}. Download it by other "
            f"means and put it at {archive}, or name its place as dataset.path."
        ) from error
    return in_memory(
        official.classes,
        {
            split: (_channels_last(images), labels.reshape(-1))
            for split, (images, labels) in (("train", train), ("test", test))
        },
    )


def _own_copy(source: str) -> Path:
    return Path("data") / OFFICIAL[source].archive


def _check_hash(path: Path, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{path}: this is a corrupt or another archive: its sha256 is {found}, not "
            f"{expected}. Download it again."
        )


def _channels_last(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undoes the axis order that the user's Keras settings may ask for."""
    return images if images.shape[-1] == 3 else images.transpose(0, 2, 3, 1)


def _read(
    archive: Path, official: Official
) -> dict[str, tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    """Images (n, 32, 32, 3) and labels of each split."""
    with tarfile.open(archive) as tar:
        batches = {
            split: [_Batch(_member(tar, f"{official.folder}/{name}")).load() for name in names]
            for split, names in official.batches.items()
        }
    return {
        split: (
            # A row is the red, the green and the blue plane of an image.
            np.concatenate([batch[b"data"] for batch in parts])
            .reshape(-1, 3, 32, 32)
            .transpose(0, 2, 3, 1),
            np.concatenate([np.asarray(batch[official.labels], np.int32) for batch in parts]),
        )
        for split, parts in batches.items()
    }


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None  # None only for what is no file
    return file


class _Batch(pickle.Unpickler):
    """Reads a pickled batch and lets it name nothing but what an array is made of."""

    def __init__(self, file: IO[bytes]) -> None:
        # Written by Python 2, whose texts are bytes.
        super().__init__(file, encoding="bytes")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return _dtype
        if module.endswith(".multiarray") and name == "_reconstruct":
            return _empty_array
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a CIFAR archive")


def _dtype(code: str | bytes, *_flags: int) -> np.dtype[Any]:
    # The old pickles pass integers as flags, which NumPy no longer likes.
    return np.dtype(code.decode() if isinstance(code, bytes) else code)


def _empty_array(_kind: type, _shape: tuple[int, ...], _code: bytes) -> NDArray[Any]:
    return np.ndarray((0,), np.int8)


def _encode(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")
