"""Writes the JSON schema by which editors complete and check studies: python -m pipeline.schema."""

from __future__ import annotations

import json
from typing import Any

from pipeline.plan import STUDIES
from pipeline.study import Study

SCHEMA = STUDIES / "study.schema.json"


def json_schema() -> dict[str, Any]:
    """The schema by which an editor completes and checks a study as it is written."""
    schema = Study.model_json_schema()
    schema["title"] = "Headstart study"
    heads = schema["properties"]["heads"]["additionalProperties"]
    # A head's type may be left to its name, so that several types can fit.
    heads["anyOf"] = heads.pop("oneOf")
    heads.pop("discriminator")
    schema["$defs"]["Backbone"]["required"] = []
    return schema


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(json_schema(), indent=2) + "\n")
