"""Which plan a target or a wildcard of the workflow means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar

from features.errors import UserError
from pipeline.plan import (
    CACHE,
    STUDIES,
    DatasetPlan,
    FeaturesPlan,
    RunPlan,
    StudyPlan,
    plan_study,
    study_files,
)

Key = TypeVar("Key")
Plan = TypeVar("Plan")


class Plans:
    """The plans of the studies that a call of Snakemake asks for.

    Each is made when its target is asked for, so that a wrong study stops only who wants it.
    """

    def __init__(self, stop: Callable[[str], NoReturn]) -> None:
        """Finds the study files.

        Args:
            stop: Ends the call with a message for the user.
        """
        self._stop = stop
        self._made: dict[str, StudyPlan] = {}
        self.files: dict[str, Path] = self._or_stop(study_files)

    def study(self, name: str) -> StudyPlan:
        """The plan of a study."""
        if name not in self._made:
            if name not in self.files:
                there = ", ".join(self.files) or "none"
                self._stop(f"headstart: no study {name!r} in {STUDIES}/; there are {there}")
            self._made[name] = self._or_stop(lambda: plan_study(self.files[name]))
        return self._made[name]

    def run(self, study: str, run: str) -> RunPlan:
        """One run of a study."""
        return self._found({plan.name: plan for plan in self.study(study).runs}, run)

    def features(self, file: str) -> FeaturesPlan:
        """The features whose file's path is given, whichever study wants them."""
        plans = {plan.file: plan for study in self._asked() for plan in study.features}
        return self._found(plans, CACHE / "features" / file)

    def dataset(self, file: str) -> DatasetPlan:
        """The data set whose file's name is given."""
        plans = {
            plan.dataset.file: plan.dataset for study in self._asked() for plan in study.features
        }
        return self._found(plans, CACHE / "datasets" / file)

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
