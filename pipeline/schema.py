"""Writes the JSON schema by which editors complete and check studies: python -m pipeline.schema."""

from __future__ import annotations

import json

from pipeline.plan import STUDIES
from pipeline.study import json_schema

SCHEMA = STUDIES / "study.schema.json"

if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(json_schema(), indent=2) + "\n")
