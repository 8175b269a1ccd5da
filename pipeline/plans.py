"""Which plan a target or a wildcard of the workflow means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from features.engines import ENGINES
from features.errors import UserError
from pipeline.links import LINKS
from pipeline.plan import (
    STUDIES,
    DatasetPlan,
    FeaturesPlan,
    RunPlan,
    StudyPlan,
    plan_study,
    study_files,
)

ALLOWED = ("engine", "parts", "memory", "disk", "scheduler")
"""What `--config` may say."""

Key = TypeVar("Key")
Plan = TypeVar("Plan")


class Plans:
    """The plans of the studies that a call of Snakemake asks for.

    Each is made when its target is asked for, so that a wrong study stops only who wants it.
    """

    def __init__(self, config: Mapping[str, Any], stop: Callable[[str], NoReturn]) -> None:
        """Finds the study files.

        Args:
            config: What the command line says of how every pass is to run (`--config`).
            stop: Ends the call with a message for the user.
        """
        self._stop = stop
        self._config = self._or_stop(lambda: _checked(config))
        self._made: dict[str, StudyPlan] = {}
        self.files: dict[str, Path] = self._or_stop(study_files)

    def study(self, name: str) -> StudyPlan:
        """The plan of a study."""
        if name not in self._made:
            if name not in self.files:
                there = ", ".join(self.files) or "none"
                self._stop(f"headstart: no study {name!r} in {STUDIES}/; there are {there}")
            self._made[name] = self._or_stop(lambda: plan_study(self.files[name], **self._config))
        return self._made[name]

    def run(self, study: str, run: str) -> RunPlan:
        """One run of a study."""
        return self._found({plan.name: plan for plan in self.study(study).runs}, run)

    def features(self, dataset: str, backbone: str) -> FeaturesPlan:
        """The features of a data set by a backbone, as their files are named."""
        plans = {plan.link: plan for study in self._asked() for plan in study.passes}
        return self._found(plans, LINKS / "features" / dataset / f"{backbone}.h5")

    def dataset(self, file: str) -> DatasetPlan:
        """The data set whose file's name is given."""
        plans = {
            plan.dataset.link: plan.dataset for study in self._asked() for plan in study.passes
        }
        return self._found(plans, LINKS / "datasets" / file)

    def made(self) -> list[StudyPlan]:
        """The plans made so far."""
        return list(self._made.values())

    def _asked(self) -> list[StudyPlan]:
        """The studies asked for; all of them where a cache file itself is the target."""
        return self.made() or [self.study(name) for name in self.files]

    def _found(self, plans: Mapping[Key, Plan], key: Key) -> Plan:
        if key not in plans:
            self._stop(f"headstart: no study asks for {key}")
        return plans[key]

    def _or_stop(self, make: Callable[[], Plan]) -> Plan:
        try:
            return make()
        except UserError as error:
            self._stop(f"headstart: {error}")


def _checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The command line's `--config`.

    Raises:
        UserError: A key or a value is not allowed.
    """
    for key, value in config.items():
        if key not in ALLOWED:
            raise UserError(f"--config: unknown key {key!r}; allowed: {', '.join(ALLOWED)}")
        if key == "engine" and value not in ("auto", *ENGINES):
            raise UserError(f"--config engine={value}: allowed: auto, {', '.join(ENGINES)}")
        if key == "parts" and (not isinstance(value, int) or value < 1):
            raise UserError(f"--config parts={value}: wants a whole number from 1 on")
        if key in ("memory", "disk") and not (isinstance(value, int | float) and value > 0):
            raise UserError(f"--config {key}={value}: wants gigabytes, a number above 0")
        if key == "scheduler" and "://" not in str(value):
            raise UserError(f"--config scheduler={value}: wants an address as tcp://host:8786")
    return dict(config)
