"""A pass that is stopped, by whatever, loses little and ends in the same bytes."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import features
from features.cache.join import join, part_file
from features.errors import UserError

from .conftest import BACKBONE, Run, write_arrays

HERE = Path(__file__).parent
EXACT = replace(BACKBONE, size=(48, 48))
PASS = """
import sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, {here!r})
from conftest import BACKBONE, run_pass
from features.errors import UserError
try:
    run_pass(Path({folder!r}), Path({graphs!r}), Path({images!r}), replace(BACKBONE, size=(48, 48)))
except UserError as error:
    sys.exit(f"headstart: {{error}}")
"""


def start(folder: Path, graphs: Path, images: Path) -> subprocess.Popen[str]:
    """The pass as a process of its own."""
    script = PASS.format(here=str(HERE), folder=str(folder), graphs=str(graphs), images=str(images))
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )


def finished_blocks(part: Path) -> int:
    with features.open(part) as file:
        return sum(int(file.finished(name).sum()) for name in file.names() if name.count("/") > 1)


def test_killed_many_times_it_ends_in_the_same_bytes(
    tmp_path: Path, graphs: Path, run: Run
) -> None:
    """SIGKILL at random moments, from the first byte on to the last."""
    images, _ = write_arrays(tmp_path, train=12_000)
    expected = run(images, EXACT)
    folder = tmp_path / "killed"
    folder.mkdir()
    rng = random.Random(0)
    kills = 0
    before = 0
    process = start(folder, graphs, images)
    part = folder / "out" / f"{expected.name}.part"
    while kills < 6:
        # In turn from the first byte on, and after something more was finished.
        wanted = before + kills % 2
        while process.poll() is None and not (part.exists() and finished_blocks(part) >= wanted):
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += 1
        if (folder / "out" / expected.name).exists():
            break
        now = finished_blocks(part)
        assert now >= before, "what was finished stays finished"
        before = now
        process = start(folder, graphs, images)
    _, said = process.communicate(timeout=300)
    whole = folder / "out" / expected.name
    assert whole.exists(), said
    assert kills >= 2, "it must have been stopped in the middle"
    assert before > 0, "something must have been finished by then"
    assert whole.read_bytes() == expected.read_bytes()
    assert not part.exists()


def test_what_was_finished_is_not_computed_again(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    import features.stream as module

    images, _ = write_arrays(tmp_path, train=400)
    expected = run(images, EXACT).read_bytes()
    shutil.rmtree(tmp_path / "out")
    write, count = module.FeatureWriter.write, 0

    def failing(self: module.FeatureWriter, *where: object) -> None:
        nonlocal count
        count += 1
        if count > 5:
            raise UserError("stopped")
        write(self, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(module.FeatureWriter, "write", failing)
    with pytest.raises(UserError, match="stopped"):
        run(images, EXACT)
    monkeypatch.setattr(module.FeatureWriter, "write", write)
    output = run(images, EXACT)
    assert output.read_bytes() == expected
    with features.open(output) as file:
        assert file.record["computed"] < 2 * 2 * 410, "each image once, but what was under way"


def test_an_added_view_and_layer_compute_only_themselves(tmp_path: Path, run: Run) -> None:
    images, _ = write_arrays(tmp_path, train=100)
    run(images, replace(BACKBONE, views=("identity",)))
    more = run(images, replace(BACKBONE, views=("identity", "augmented-2")))
    with features.open(more) as file:
        assert file.record["computed"] == 110
    spatial = replace(BACKBONE, views=("identity", "augmented-2"), spatial=("last",))
    with features.open(run(images, spatial)) as file:
        assert file.record["computed"] == 220
        alone = file.array("train", "augmented-2", file.layers[-1])
        assert file.array("train", "augmented-2", file.spatial[0]).ndim == 4
    shutil.rmtree(tmp_path / "out")
    with features.open(run(images, spatial)) as file:
        np.testing.assert_array_equal(file.array("train", "augmented-2", file.layers[-1]), alone)


def test_parts_give_the_same_as_one_pass_and_their_number_may_change(
    tmp_path: Path, run: Run
) -> None:
    images, _ = write_arrays(tmp_path, train=300)
    whole = run(images)
    with features.open(whole) as file:
        expected = {name: file.rows_of(name, 0, 300) for name in file.names()}
    shutil.rmtree(tmp_path / "out")
    run(images, parts=(1, 3))
    with features.open(part_file(whole, 1, 3)) as file:
        assert file.record["computed"] > 0
    for part in range(2):
        run(images, parts=(part, 2))
    records = [features.open(part_file(whole, part, 2)).record for part in range(2)]
    assert sum(record["computed"] for record in records) < 2 * 310, "the third was taken over"
    join(whole, 2)
    with features.open(whole) as file:
        for name, values in expected.items():
            np.testing.assert_array_equal(file.rows_of(name, 0, 300), values)
    assert not list(whole.parent.glob("*.parts/*-of-3.h5"))


def test_two_at_once_compute_it_once(tmp_path: Path, graphs: Path) -> None:
    images, _ = write_arrays(tmp_path, train=3000)
    one, other = (start(tmp_path, graphs, images) for _ in range(2))
    for process in (one, other):
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    (output,) = (tmp_path / "out").glob("*.h5")
    with features.open(output) as file:
        assert file.record["computed"] == 2 * 3010


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 1.5 MB."""
    place = tmp_path / "out"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1536k", "none", place], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_told_and_the_pass_goes_on_when_there_is_space(
    tmp_path: Path, run: Run, small_disk: Path
) -> None:
    images, _ = write_arrays(tmp_path, train=2000)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(600_000))
    with pytest.raises(UserError, match=r"no space left .* make space and run again"):
        run(images)
    assert not list(small_disk.glob("*.h5"))
    assert finished_blocks(next(small_disk.glob("*.part"))) > 0
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=8m", small_disk], check=True)
    output = run(images)
    with features.open(output) as file:
        assert all(not file.damaged(name) for name in file.names())
        assert file.record["computed"] <= 2 * 2 * 2010


def test_a_limit_on_the_size_of_files_is_told(tmp_path: Path, run: Run, graphs: Path) -> None:
    images, _ = write_arrays(tmp_path, train=2000)
    run(write_arrays(tmp_path, train=30)[0])  # converts the graph
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
        with pytest.raises(UserError, match="larger than this system lets a file be"):
            run(images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    output = run(images)
    features.open(output).close()


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, run: Run) -> None:
    images, _ = write_arrays(tmp_path)
    place = tmp_path / "out"
    place.mkdir()
    if os.getuid() == 0:
        # Permissions do not hold root back; a disk that is read-only does.
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "ro", "none", place], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("no disk can be mounted here")
    else:
        place.chmod(0o500)
    try:
        with pytest.raises(UserError, match="its folder cannot be written"):
            run(images)
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", "-l", place], check=True)
        else:
            place.chmod(0o700)


def test_a_read_only_cache_that_holds_the_features_is_enough(tmp_path: Path, run: Run) -> None:
    images, _ = write_arrays(tmp_path)
    output = run(images)
    if os.getuid() == 0:
        made = subprocess.run(["mount", "--bind", "-o", "ro", output.parent, output.parent])
        if made.returncode:
            pytest.skip("no disk can be mounted here")
    else:
        output.parent.chmod(0o500)
    try:
        assert run(images) == output
        with features.open(output) as file:
            assert len(file.array("train", "identity", file.layers[-1])) == 30
    finally:
        if os.getuid() == 0:
            subprocess.run(["umount", "-l", output.parent], check=True)
        else:
            output.parent.chmod(0o700)


def test_what_was_left_with_other_weights_is_not_gone_on_with(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, _ = write_arrays(tmp_path, train=300)
    output = run(images, engine="tensorflow")
    part = output.with_name(output.name + ".part")
    output.rename(part)
    with h5py.File(part) as file:
        assert b"weights_sha256" in file.attrs["facts"]
    import features.engines.graph as graph

    monkeypatch.setattr(graph, "weights_digest", lambda model: "other")
    with features.open(run(images, engine="tensorflow")) as file:
        assert file.record["computed"] == 2 * 310
