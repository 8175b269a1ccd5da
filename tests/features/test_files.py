from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.files import fingerprint, whole_file

FIELDS = st.dictionaries(st.text(), st.none() | st.integers() | st.text() | st.lists(st.integers()))


def test_a_file_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with whole_file(path) as part:
        part.write_text("half")
        assert not path.exists()
        part.write_text("whole")
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_an_error_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@given(FIELDS)
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(fields: dict[str, object]) -> None:
    assert fingerprint(fields) == fingerprint(dict(reversed(fields.items())))


@given(FIELDS, FIELDS)
def test_different_fields_have_different_fingerprints(
    one: dict[str, object], other: dict[str, object]
) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (one == other)
