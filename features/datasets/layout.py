"""Which folders are splits, which are classes: decided from names alone.

Folder and archive share this, so that both mean the same data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from features.errors import UserError

SPLITS = ("train", "validation", "test")
ALIASES = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
}
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".webp")
NAMED_AT_MOST = 20


@dataclass(frozen=True)
class Layout:
    """How a folder of images is arranged.

    Attributes:
        base: "", or the name of the single top-level folder that was looked through, with a slash.
        classes: The names of the classes, sorted.
        splits: For each split the (id, label) pairs, sorted by id. An id is the path below `base`,
            with forward slashes; a label is an index into `classes`.
    """

    base: str
    classes: list[str]
    splits: dict[str, list[tuple[str, int]]]

    @property
    def ids(self) -> list[str]:
        """The ids of all images, split after split."""
        return [name for images in self.splits.values() for name, _ in images]


def is_hidden(name: str) -> bool:
    """Whether a file or folder of that name is none of the user's images."""
    return name.startswith(".") or name == "__MACOSX"


def is_image(name: str) -> bool:
    """Whether a file's name says that it is an image of a kind that is read."""
    return name.lower().endswith(SUFFIXES)


def is_text(name: str) -> bool:
    """Whether a file's name is text that can be written down, and not bytes in another encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def listed(names: Sequence[str]) -> str:
    """Names for a message: quoted, and counted where they are many."""
    more = len(names) - NAMED_AT_MOST
    return ", ".join(repr(name) for name in names[:NAMED_AT_MOST]) + (
        f" and {more} more" if more > 0 else ""
    )


def arrange(
    where: str, directories: Iterable[str], files: Iterable[str], only_test: bool = False
) -> Layout:
    """Finds the splits and classes of a folder of images.

    The folders are classes, or they are splits ("train", "test" and "validation", also called "val"
    or "valid", in upper or lower case) that hold the classes. A single folder around all this is
    looked through. Images that lie in no class folder are not part of the data.

    Args:
        where: What messages call the whole.
        directories: Relative paths of all visible folders, with forward slashes.
        files: Relative paths of all visible image files.
        only_test: Whether they are a further test set: it needs no train split, and one class does.

    Returns:
        The layout.

    Raises:
        UserError: No images or classes, one class only, an empty class folder, a class that "train"
            lacks, or folders that are neither all splits nor all classes.
    """
    files = list(files)
    inside: dict[str, set[str]] = {}
    for directory in directories:
        parent, _, name = directory.rpartition("/")
        inside.setdefault(parent, set()).add(name)
    holding_images = {name.rpartition("/")[0] for name in files}

    base = _base(inside, holding_images)
    tops = sorted(inside.get(base.rstrip("/"), ()))
    named = [top for top in tops if top.casefold() in ALIASES]
    strangers = [top for top in tops if top not in named]
    if named and not strangers:
        folders = _split_folders(where, named, only_test)
    elif any(inside.get(base + top) for top in named):
        raise UserError(
            f"{where}: {listed(strangers)} stands beside the split folders {listed(named)}. "
            "A folder holds either one subfolder a class, or only train, test and validation "
            "folders that do."
        )
    else:
        folders = {"train": ""}

    # A split's class folders, each with the ids of its images.
    found: dict[str, dict[str, list[str]]] = {}
    for split, folder in folders.items():
        place = (base + folder).rstrip("/")
        if not inside.get(place):
            lies = "images lie in it directly" if place in holding_images else "it is empty"
            raise UserError(
                f"{where}{'/' * bool(place)}{place}: no class folders: {lies}. Give each class a "
                "subfolder that holds its images (JPEG, PNG, BMP, GIF or WebP)."
            )
        found[split] = {name: [] for name in inside[place]}
    prefixes = {base + folder + "/" * bool(folder): split for split, folder in folders.items()}
    for name in files:
        for prefix, split in prefixes.items():
            if name.startswith(prefix):
                folder, slash, _ = name[len(prefix) :].partition("/")
                if slash:
                    found[split][folder].append(name[len(base) :])

    _check_full(where, found, folders)
    if not only_test:
        _check_train(where, found, folders)
    classes = sorted(set().union(*found.values()))
    return Layout(
        base,
        classes,
        {
            split: sorted(
                (name, label)
                for label, cls in enumerate(classes)
                for name in found[split].get(cls, ())
            )
            for split in SPLITS
            if split in found
        },
    )


def _base(inside: dict[str, set[str]], holding_images: set[str]) -> str:
    tops = inside.get("", set())
    if len(tops) != 1:
        return ""
    (top,) = tops
    around = inside.get(top) and not holding_images & {"", top} and top.casefold() not in ALIASES
    return f"{top}/" if around else ""


def _split_folders(where: str, named: Sequence[str], only_test: bool) -> dict[str, str]:
    folders: dict[str, str] = {}
    for name in named:
        split = ALIASES[name.casefold()]
        if split in folders:
            raise UserError(
                f"{where}: {folders[split]!r} and {name!r} are both the {split} split. Keep one."
            )
        folders[split] = name
    if "train" not in folders and not only_test:
        raise UserError(
            f"{where}: there is {listed(named)} but no folder 'train'. Add one, with one subfolder "
            "a class."
        )
    return {split: folders[split] for split in SPLITS if split in folders}


def _check_full(
    where: str, found: dict[str, dict[str, list[str]]], folders: dict[str, str]
) -> None:
    empty = sorted(
        f"{folders[split]}/{cls}".lstrip("/")
        for split, classes in found.items()
        for cls, images in classes.items()
        if not images
    )
    if len(empty) == sum(len(classes) for classes in found.values()):
        raise UserError(f"{where}: no images (JPEG, PNG, BMP, GIF or WebP) in any class folder.")
    if empty:
        raise UserError(
            f"{where}: no images (JPEG, PNG, BMP, GIF or WebP) in the class folders "
            f"{listed(empty)}. Add images or remove these folders."
        )


def _check_train(
    where: str, found: dict[str, dict[str, list[str]]], folders: dict[str, str]
) -> None:
    if len(found["train"]) < 2:
        raise UserError(
            f"{where}: {listed(sorted(found['train']))} is the only class. A classifier needs at "
            "least two: one subfolder a class."
        )
    for split, classes in found.items():
        unknown = sorted(classes.keys() - found["train"].keys())
        if unknown:
            raise UserError(
                f"{where}: the {split} split has the classes {listed(unknown)} that train lacks. "
                f"Add them to train or remove them from {folders[split]!r}."
            )
