"""Reading a study file, and saying what is wrong in it and where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from features.errors import UserError
from pipeline.section import one_of
from pipeline.study import Study


class _Loader(yaml.SafeLoader):
    """YAML that refuses a key written twice, where the second would silently win."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    # What `<<: *other` brings may be written over.
    written_out = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    keys = [loader.construct_object(key) for key in written_out]
    for key, written in zip(keys, written_out, strict=True):
        if keys.count(key) > 1:
            raise yaml.constructor.ConstructorError(
                None, None, f"the name {key!r} is used twice", written.start_mark
            )
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 takes 1e-4 for a text; YAML 1.2, and anybody who writes it, for a number.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+"),
    list("-+0123456789."),
)


def load_study(file: Path) -> Study:
    """Reads and checks a study file.

    Raises:
        UserError: Names the file, the key and what is allowed there.
    """
    try:
        body = yaml.load(file.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: {error.problem}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file}: cannot be read as YAML text ({error})") from error
    if not isinstance(body, dict):
        raise UserError(f"{file}: lists nothing; a study has {one_of(Study.model_fields)}")
    try:
        return Study.model_validate(body)
    except ValidationError as error:
        raise UserError("\n".join(_lines(file, error, body))) from error


def _lines(file: Path, error: ValidationError, body: Any) -> list[str]:
    """One line a place in the file; what a choice of kinds would each have wanted is joined."""
    places: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    for detail in error.errors():
        where = _where(detail["loc"], body, missing=detail["type"] == "missing")
        what = detail["msg"]
        if detail["type"] == "missing":
            what = "missing"
        elif detail["type"] != "study":
            given[where] = f" (it is {detail['input']!r})"
            what = what[0].lower() + what[1:]
            if where in places:
                what = what.removeprefix("input should be ")
        places.setdefault(where, []).append(what)
    return [
        f"{file}: {where}{' or '.join(dict.fromkeys(whats))}{given.get(where, '')}"
        for where, whats in places.items()
    ]


def _where(location: tuple[str | int, ...], body: Any, missing: bool) -> str:
    """A place as the user wrote it, without the parts that only the checking knows."""
    parts: list[str] = []
    for part in location:
        if isinstance(body, dict):
            stands = part in body
        else:
            stands = isinstance(body, list) and isinstance(part, int)
        if stands:
            body = body[part]
        if stands or (missing and part is location[-1]):
            parts.append(str(part))
    return ".".join(parts) + ": " if parts else ""
