"""What every part of a study file has in common."""

from __future__ import annotations

import difflib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Portion = Annotated[float, Field(ge=0, lt=1)]


def wrong(message: str) -> PydanticCustomError:
    """An error whose text reaches the user as it is."""
    # A placeholder, for pydantic takes braces in the text itself for its own.
    return PydanticCustomError("study", "{text}", {"text": message})


def distinct(names: list[str], what: str) -> list[str]:
    """Names of which none stands twice."""
    if len(set(names)) != len(names):
        raise wrong(f"{what} is named twice")
    return names


def one_of(names: Any) -> str:
    """Names as a list for a message."""
    return ", ".join(str(name) for name in names)


class Section(BaseModel):
    """A part of a study. Unknown keys are refused with the allowed ones named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, body: Any) -> Any:
        if body is None:
            return {}
        if isinstance(body, dict):
            for key in body:
                if key not in cls.model_fields:
                    near = difflib.get_close_matches(str(key), cls.model_fields, 1)
                    hint = f" (do you mean {near[0]!r}?)" if near else ""
                    raise wrong(f"unknown key {key!r}{hint}; allowed: {one_of(cls.model_fields)}")
        return body
