"""A model card: what an exported model is, how good, and what not to do with it.

Mitchell, M. et al. (2019): Model cards for model reporting. FAT* 2019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers.export.folder import FEATURES, KERAS, Exported
from classifiers.store import read_json
from features.files import disk_errors, whole_file

LICENCES: dict[str, str] = {
    "VGG": "Creative Commons Attribution (VGG, Oxford)",
    "ResNet50V2": "BSD (Facebook)",
    "ResNet101V2": "BSD (Facebook)",
    "ResNet152V2": "BSD (Facebook)",
    "ResNet": "MIT (Kaiming He)",
    "Inception": "Apache 2.0 (Google)",
    "Xception": "MIT (Keras)",
    "MobileNet": "Apache 2.0 (Google)",
    "DenseNet": "BSD 3-Clause (Zhuang Liu)",
    "NASNet": "Apache 2.0 (Google)",
}
"""By the beginning of an architecture's name, the first that fits, as Keras' documentation gave it
for the weights that it ports (https://keras.io/api/applications)."""

UNSTATED = "not known to Headstart; see where they come from before you pass them on"


def write_card(run: Path, exported: Exported, passed: Sequence[tuple[str, str]], to: Path) -> None:
    """Writes the card as Markdown.

    Args:
        run: The run's folder, with `fit.json` and `metrics.json`.
        exported: The model.
        passed: Better runs that cannot be exported: their names, and why.
        to: The file.
    """
    metrics, fitted = read_json(run / "metrics.json"), read_json(run / "fit.json")
    sections = (
        _beginning(exported, passed),
        _use(exported),
        _figures(metrics, fitted),
        _classes(metrics),
        _data(exported, fitted),
        _backbones(exported),
        _limits(metrics),
        _repeat(exported),
    )
    with disk_errors(to), whole_file(to) as part:
        part.write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def _beginning(exported: Exported, passed: Sequence[tuple[str, str]]) -> str:
    lines = [
        f"# {exported.study}: {exported.run}",
        f"An image in, the probabilities of {len(exported.classes)} classes out. Made by Headstart "
        f"{exported.versions.get('headstart', '')} from the study `{exported.study}`: the head "
        f"`{exported.head}` of the run `{exported.run}`, the best on validation"
        + (" of those that can be exported." if passed else "."),
    ]
    lines += [f"`{name}` is better, and cannot be exported: {why}." for name, why in passed]
    return "\n\n".join(lines)


def _use(exported: Exported) -> str:
    commands = "```bash\nheadstart predict . photo.jpg folder/\nheadstart serve .\n```"
    python = '```python\nimport headstart\n\nheadstart.load(".").predict(images)\n```'
    if not exported.files:
        return f"## Use\n\nNo run of the study can be exported: {exported.why}."
    if exported.has(FEATURES):
        said = (
            f"The head is no few layers of a network, so that `{FEATURES}` gives what it sees, and "
            "the head stands beside it. Use both through Headstart:"
        )
    else:
        said = (
            f"`{KERAS}` goes from uint8 RGB images of any size, (batch, height, width, 3), as they "
            "come from a file, to probabilities; resize, preprocessing and scaling are inside. By "
            "Headstart, which takes the form for OpenVINO where it can:"
        )
    return f"## Use\n\n{said}\n\n{commands}\n\n{python}"


def _figures(metrics: Mapping[str, Any], fitted: Mapping[str, Any]) -> str:
    test, calibration = metrics["test"], metrics.get("calibration") or {}
    rows = [
        ("accuracy", test["accuracy"], test["low"], test["high"], _percent),
        *(
            (title, test[name], test[f"{name}_low"], test[f"{name}_high"], form)
            for title, name, form in (
                ("top-5 accuracy", "top5_accuracy", _percent),
                ("macro F1", "macro_f1", _percent),
                ("log loss", "log_loss", _number),
                ("expected calibration error", "calibration_error", _number),
            )
            if test.get(name) is not None
        ),
    ]
    if calibration:
        rows.append(
            (
                f"calibration error at the temperature {calibration['temperature']:.2f}",
                calibration["calibration_error"],
                calibration["calibration_error_low"],
                calibration["calibration_error_high"],
                _number,
            )
        )
    table = "\n".join(
        f"| {title} | {form(value)} | {form(low)} to {form(high)} |"
        for title, value, low, high, form in rows
    )
    validation = fitted["validation"]
    return (
        f"## How good it is\n\nOn {test['images']:,} test images, which nothing was chosen on:\n\n"
        f"| | | 95 % interval |\n|---|---|---|\n{table}\n\n"
        f"On the {validation['images']:,} validation images, by which it was chosen, "
        f"{_percent(validation['accuracy'])}."
    )


def _classes(metrics: Mapping[str, Any]) -> str:
    rows = "\n".join(
        f"| {one['class']} | {_percent(one['precision'])} | {_percent(one['recall'])} "
        f"| {_percent(one['recall_low'])} to {_percent(one['recall_high'])} | {one['support']:,} |"
        for one in metrics["per_class"]
    )
    return (
        "| class | precision | recall | its 95 % interval | test images |\n"
        f"|---|---|---|---|---|\n{rows}"
    )


def _data(exported: Exported, fitted: Mapping[str, Any]) -> str:
    data = exported.dataset
    images = fitted["training"]["images"], fitted["validation"]["images"]
    return (
        f"## Data\n\nSource `{data['source']}`, content sha256 `{data['content']}`: {images[0]:,} "
        f"images to train on and {images[1]:,} to choose by; what it was trained on in the end is "
        "both, unless it was fine-tuned. The data's own licence and the rights of whom it shows "
        "are not known to Headstart."
    )


def _backbones(exported: Exported) -> str:
    lines = []
    for spec in exported.backbones:
        width, height = spec["size"][1], spec["size"][0]
        lines.append(
            f"- **{spec['architecture']}**"
            + (f" of width {spec['alpha']:g}" if spec["alpha"] != 1 else "")
            + f" at {width} x {height}, resized by {spec['resize']} ({spec['interpolation']}), "
            f"pixels scaled as `{spec['preprocessing']}`; precision of the features "
            f"`{spec['precision']}`. Weights: {_weights(spec)}."
        )
    return "## Backbone\n\n" + "\n".join(lines)


def _weights(spec: Mapping[str, Any]) -> str:
    weights, architecture = str(spec["weights"]), str(spec["architecture"])
    if weights.startswith("imagenet"):
        licence = next(
            (text for start, text in LICENCES.items() if architecture.startswith(start)), UNSTATED
        )
        return f"ImageNet, by Keras; their licence, as Keras' documentation gave it: {licence}"
    if weights == "embedded":
        return "those that ship with Headstart, trained on CIFAR-10"
    if weights == "random":
        return "random, untrained"
    if architecture == "network":
        return "its own, trained from nothing"
    return f"a local file (sha256 `{weights}`); its licence is for you to know"


def _limits(metrics: Mapping[str, Any]) -> str:
    worst = sorted(metrics["per_class"], key=lambda one: one["recall"])[:3]
    named = ", ".join(f"{one['class']} ({_percent(one['recall'])})" for one in worst)
    return (
        "## Limits\n\n"
        f"- It finds least of: {named}.\n"
        "- It knows these classes alone, and gives one of them for any image whatever. A high "
        "probability for an image unlike the training images means nothing.\n"
        "- The figures hold for images like the test images. Those of another camera, place or "
        "time are to be measured anew (`further_tests` in a study).\n"
        "- Accuracy by groups of people was not measured."
    )


def _repeat(exported: Exported) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in exported.versions.items())
    return (
        "## How to repeat it\n\n"
        f"```bash\nsnakemake --cores 4 {exported.study}\n```\n\n"
        f"with the study file, whose text stands in the report beside this folder, and {versions}."
    )


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float) -> str:
    return f"{value:.3f}"
