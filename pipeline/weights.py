"""Whether features that are there are still those of the weights that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from features.cache import FeatureFile
from features.datasets.memo import remembered_hash
from features.errors import UserError
from features.keras_home import keras_home
from pipeline.plan import MEMO, FeaturesPlan, StudyPlan


def check_weights(plans: Iterable[StudyPlan], stop: Callable[[str], Any]) -> None:
    """Ends the call where features were made with other ImageNet weights of the same name.

    Their name is in the features' fingerprint and not their content, for a study must be laid out
    before they are downloaded.

    Args:
        plans: The studies asked for.
        stop: Ends the call with a message for the user.
    """
    for plan in plans:
        for features in plan.passes:
            try:
                _check(features)
            except UserError as error:
                stop(f"\nheadstart: {error}\n")


def _check(features: FeaturesPlan) -> None:
    if features.imagenet is None or not features.file.exists():
        return
    weights = keras_home() / "models" / features.imagenet
    with FeatureFile(features.file) as file:
        made_with = file.facts["backbone"]["imagenet_sha256"]
    if weights.exists() and remembered_hash(weights, MEMO) != made_with:
        raise UserError(
            f"{weights} is not the file that {features.file} was made with (sha256 "
            f"{remembered_hash(weights, MEMO)[:8]} now, {made_with[:8]} then). To go on with the "
            f"features, put those weights back; to make them anew, delete {features.file}"
        )
