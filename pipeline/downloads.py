"""What a study would have to download, checked before anything is started."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from features.datasets.cifar import OFFICIAL, archive_at_hand
from features.keras_home import keras_home
from pipeline.plan import StudyPlan

WEIGHTS_URL = "https://storage.googleapis.com/tensorflow/keras-applications/"
SECONDS = 5


@dataclass(frozen=True)
class Download:
    """Something that Keras would download.

    Attributes:
        what: For the user.
        url: Where it comes from; its host is what must be reachable.
        place: Where the user may put it instead.
    """

    what: str
    url: str
    place: str


def missing_downloads(plans: Iterable[StudyPlan]) -> list[Download]:
    """What the studies still want and is nowhere on this machine."""
    found: dict[str, Download] = {}
    for plan in plans:
        for features in plan.passes:
            if features.file.exists():
                continue
            dataset = features.dataset
            source = dataset.spec.source
            if (
                source in OFFICIAL
                and not dataset.file.exists()
                and not archive_at_hand(source, dataset.source_path)
            ):
                official = OFFICIAL[source]
                found[source] = Download(
                    f"the images of {source}, {official.archive}",
                    official.url,
                    f"data/{official.archive} in this folder, or name it in {plan.file} "
                    "under dataset.path",
                )
            if features.imagenet:
                file = keras_home() / "models" / features.imagenet
                if not file.exists():
                    found[features.imagenet] = Download(
                        f"the ImageNet weights {features.imagenet}",
                        WEIGHTS_URL,
                        f"{file.parent}, or name a local file in {plan.file} under "
                        "backbones.<name>.weights",
                    )
    return list(found.values())


def reachable(url: str) -> bool:
    """Whether a host answers at all, through the proxy if one is set."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def check_downloads(plans: Iterable[StudyPlan], stop: Callable[[str], Any]) -> None:
    """Ends the call where something must be downloaded and cannot be.

    Args:
        plans: The studies asked for.
        stop: Ends the call with a message for the user.
    """
    missing = missing_downloads(plans)
    # Several weights come from one place, which is asked once.
    answers = {url: reachable(url) for url in {download.url for download in missing}}
    lacking = [download for download in missing if not answers[download.url]]
    if lacking:
        lines = [f"- {d.what} (from {d.url})\n  put it into {d.place}" for d in lacking]
        stop(
            "\nheadstart: this machine cannot download what the study needs:\n"
            + "\n".join(lines)
            + "\nWith a network it comes by itself. "
            "`snakemake --cores 4 quickstart` needs none of it.\n"
        )
