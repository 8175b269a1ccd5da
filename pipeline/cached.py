"""Looking after the cache: what is in it, whether it is whole, and what may go."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from features.cache import FeatureFile
from features.cache.reader import parts_folder, record_file
from features.datasets import open_images
from features.engines.convert import damaged_files
from features.engines.graph import graph_fields
from features.errors import UserError
from features.spec import specs_of
from pipeline.plan import plan_study, study_files
from pipeline.report.words import flatten

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True)
class Entry:
    """Something in the cache.

    Attributes:
        kind: "dataset", "features", "unfinished" or "graph".
        path: The file, or a graph's folder.
        files: All that belongs to it.
        what: What it is made of, in a line.
    """

    kind: str
    path: Path
    files: tuple[Path, ...]
    what: str

    @property
    def bytes(self) -> int:
        """What it takes on disk; an unfinished file has holes."""
        return sum(_size(file) for file in self.files)

    @property
    def age(self) -> float:
        """Seconds since it was last written."""
        return time.time() - self.path.stat().st_mtime


def entries(folder: Path) -> list[Entry]:
    """Everything in a cache.

    Raises:
        UserError: There is no such folder.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; a cache is made by `snakemake`")
    found = [
        Entry("dataset", file, (file,), _dataset(file))
        for file in sorted(folder.glob("datasets/*.h5"))
    ]
    whole = sorted(folder.glob("features/*/*.h5"))
    for file in whole:
        belongs = [file, record_file(file), parts_folder(file)]
        found.append(Entry("features", file, _there(belongs), _features(file)))
    unfinished = [
        *folder.glob("features/*/*.h5.part"),
        *(p for p in folder.glob("features/*/*.h5.parts") if p.with_suffix("") not in whole),
    ]
    for file in sorted(unfinished):
        found.append(Entry("unfinished", file, _there([file, record_file(file)]), _features(file)))
    for file in sorted(folder.glob("graphs/*/graph.json")):
        found.append(Entry("graph", file.parent, (file.parent,), "converted for OpenVINO"))
    return found


def show(folder: Path) -> int:
    """Prints what is in a cache."""
    found = entries(folder)
    for kind in ("dataset", "features", "unfinished", "graph"):
        rows = [entry for entry in found if entry.kind == kind]
        if rows:
            print(f"\n{kind}")
        for entry in rows:
            print(f"{_megabytes(entry.bytes):>12}  {_ago(entry.age):>8}  {entry.path}")
            print(f"{'':24}{entry.what}")
    total = sum(entry.bytes for entry in found)
    print(f"\n{_megabytes(total).strip()} in {len(found)} entries of {folder}")
    return 0


def verify(folder: Path, files: Sequence[Path]) -> int:
    """Reads features files and converted graphs whole, and says what is damaged and where.

    Returns:
        1 where something is.
    """
    found = [entry for entry in entries(folder) if entry.kind in ("features", "graph")]
    if files:
        found = [Entry("features", file, (file,), "") for file in files]
    wrong = 0
    for entry in found:
        damage = list(_damage(entry))
        wrong += bool(damage)
        print(f"{'damaged' if damage else 'whole':>8}  {entry.path}")
        for line in damage:
            print(f"{'':10}{line}")
    print(f"\n{len(found) - wrong} whole, {wrong} damaged")
    return 1 if wrong else 0


def _damage(entry: Entry) -> Iterator[str]:
    if entry.kind == "graph":
        yield from (f"{name} is not as it was written" for name in damaged_files(entry.path))
        return
    try:
        with FeatureFile(entry.path) as file:
            for name in file.names():
                blocks = file.damaged(name)
                if blocks:
                    yield f"/{name}: {len(blocks)} of {file.blocks(name)} blocks: {_few(blocks)}"
    except UserError as error:
        yield str(error)


def compare(first: Path, second: Path) -> int:
    """Prints in which fields two features files differ.

    Returns:
        1 where they differ in what decides a feature's value.
    """
    with FeatureFile(first) as one, FeatureFile(second) as other:
        specs = _differing(one.spec, other.spec)
        facts = _differing(one.record, other.record)
    for title, rows in (("what decides the features", specs), ("what made them", facts)):
        print(f"\n{title}: " + ("no difference" if not rows else ""))
        width = max((len(name) for name, _, _ in rows), default=0)
        for name, a, b in rows:
            print(f"  {name:{width}}  {a}  |  {b}")
    return 1 if specs else 0


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    first, second = dict(flatten(one)), dict(flatten(other))
    names = sorted({*first, *second})
    return [
        (name, first.get(name, "missing"), second.get(name, "missing"))
        for name in names
        if first.get(name) != second.get(name)
    ]


def remove(folder: Path, files: Sequence[Path], *, unused: bool, ask: bool) -> int:
    """Removes entries of a cache.

    Args:
        folder: The cache.
        files: Paths as `entries` has them.
        unused: Take all that no study asks for.
        ask: Whether the user is asked first.

    Raises:
        UserError: There is no such entry, or a study that cannot be read may need one.
    """
    there = {entry.path.resolve(): entry for entry in entries(folder)}
    missing = [file for file in files if file.resolve() not in there]
    if missing:
        raise UserError(f"{missing[0]}: not in {folder}; `headstart cache list` names what is")
    if not files and not unused:
        raise UserError("name what to remove, or say --unused")
    going = [there[file.resolve()] for file in files]
    if unused:
        needed = _needed()
        going += [entry for entry in there.values() if not needed.holds(entry)]
    going = list(dict.fromkeys(going))
    if not going:
        print("nothing to remove: studies ask for everything that is there")
        return 0
    for entry in going:
        print(f"{_megabytes(entry.bytes):>12}  {_ago(entry.age):>8}  {entry.path}")
    total = _megabytes(sum(entry.bytes for entry in going)).strip()
    if ask and input(f"Remove these, {total}? [y/N] ").strip().lower() not in ("y", "yes"):
        print("nothing removed")
        return 1
    return max(map(_remove, going))


def _remove(entry: Entry) -> int:
    name = entry.path.name.removesuffix(".part").removesuffix(".parts")
    lock = FileLock(entry.path.with_name(f".{name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"left alone, for a job is writing it: {entry.path}")
        return 1
    try:
        # The entry's own file first: without it nothing takes the rest for whole.
        for file in entry.files:
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"{entry.path}: cannot be removed ({error.strerror})") from error
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
    with suppress(OSError):
        entry.path.parent.rmdir()
    return 0


@dataclass(frozen=True)
class Needed:
    """What the studies ask for.

    Attributes:
        files: The files of data sets and features.
        graphs: Of converted graphs what decides them.
        tuned: The specs of the backbones that are trained further, but for views and unpooled
            layers: what they leave at the boundary of what is frozen is known once they were built.
    """

    files: set[Path]
    graphs: list[dict[str, Any]]
    tuned: list[dict[str, Any]]

    def holds(self, entry: Entry) -> bool:
        """Whether an entry of the cache is asked for."""
        if entry.kind == "graph":
            with suppress(OSError, ValueError, KeyError):
                asked = json.loads((entry.path / "request.json").read_text())["backbone"]
                return any(_plain(fields).items() <= asked.items() for fields in self.graphs)
            return False
        path = entry.path.with_suffix("") if entry.kind == "unfinished" else entry.path
        return path.resolve() in self.files or _boundary_of(entry.path) in self.tuned


def _needed() -> Needed:
    needed = Needed(set(), [], [])
    for study in study_files().values():
        try:
            plan = plan_study(study)
        except UserError as error:
            raise UserError(
                f"what {study} asks for cannot be known, so that nothing can be called unused; "
                f"mend it, or name the files to remove.\n{error}"
            ) from error
        for features in plan.passes:
            needed.files.update((features.file.resolve(), features.dataset.file.resolve()))
            needed.graphs.append(graph_fields(specs_of(features.spec)[1]))
        needed.tuned.extend(
            _anywhere(_plain(run.tune.backbone.spec)) for run in plan.runs if run.tune
        )
    return needed


def _boundary_of(file: Path) -> dict[str, Any] | None:
    """What a features file is of, wherever in the backbone it reads it."""
    with suppress(OSError, KeyError, UserError), FeatureFile(file) as features:
        return _anywhere(features.spec)
    return None


def _anywhere(spec: Mapping[str, Any]) -> dict[str, Any]:
    places = ("views", "spatial")
    backbone = {name: value for name, value in spec["backbone"].items() if name not in places}
    return {**spec, "backbone": backbone}


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As it is after it was written as JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(fields))
    return plain


def _there(files: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(file for file in files if file.exists())


def _dataset(file: Path) -> str:
    with suppress(OSError, KeyError, ValueError, UserError), open_images(file, None) as images:
        counts = ", ".join(f"{len(images.labels(s)):,} {s}" for s in images.splits)
        return f"{images.spec['source']}, {len(images.classes)} classes: {counts} images"
    return "cannot be read: damaged, or of another version"


def _features(file: Path) -> str:
    if file.is_dir():
        return f"{len(list(file.glob('*.h5')))} finished parts"
    try:
        with FeatureFile(file) as features:
            if "backbone" not in features.spec:
                return ", ".join(features.layers)
            backbone = features.spec["backbone"]
            height, width = backbone["size"]
            done = ""
            if file.suffix == ".part":
                marks = [features.finished(n) for n in features.names() if n.count("/") > 1]
                done = f"{sum(m.sum() for m in marks) / sum(map(len, marks)):.0%} done: "
            return (
                f"{done}{backbone['architecture']} {backbone['alpha']:g} at {height}x{width}, "
                f"{backbone['weights']}, {backbone['interpolation']} {backbone['resize']}, "
                f"{backbone['precision']}, {backbone['dtype']}; views {', '.join(features.views)}; "
                f"{len(features.layers + features.spatial)} layers"
                + (f"; {features.parts} parts" if features.parts > 1 else "")
            )
    except UserError as error:
        return str(error).partition(": ")[2]


def _size(file: Path) -> int:
    if file.is_dir():
        return sum(_size(inside) for inside in file.iterdir())
    stat = file.stat()
    # An unfinished file has holes.
    return min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"


def _ago(seconds: float) -> str:
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _few(blocks: Sequence[int]) -> str:
    shown = ", ".join(map(str, blocks[:8]))
    return shown + (", ..." if len(blocks) > 8 else "")
