"""Figures as people read them. A no-break space holds each number and its unit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SPACE = "\u00a0"
MINUS = "\u2212"
NONE = "\u2013"
"""Stands where there is no figure."""

TOGETHER = 16
"""Up to so many characters a setting and its value stay on one line."""


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 as "76.3 %"."""
    return NONE if share is None else f"{100 * share:.{digits}f}{SPACE}%"


def interval(low: float | None, high: float | None) -> str:
    """Two shares of 1 as "[75.4, 77.1]", in percent; nothing where there are none."""
    if low is None or high is None:
        return ""
    return f"[{100 * low:.1f},{SPACE}{100 * high:.1f}]"


def ends(low: float | None, high: float | None, digits: int = 3) -> str:
    """The ends of an interval of plain numbers, as "[0.681, 0.723]"."""
    return "" if low is None or high is None else f"[{low:.{digits}f},{SPACE}{high:.{digits}f}]"


def p_value(probability: float) -> str:
    """A p-value as "0.034", or "< 0.001"."""
    return f"<{SPACE}0.001" if probability < 0.001 else f"{probability:.3f}"


def points(difference: float) -> str:
    """A difference of two shares as "+0.6", in percentage points."""
    rounded = round(100 * difference, 1)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else ""
    return f"{sign}{abs(rounded):.1f}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A plain number such as a log loss, as "0.702"."""
    return NONE if value is None else f"{value:.{digits}f}"


def seconds(value: float | None) -> str:
    """A duration as "0.12 s", "12.3 s", "5 min 12 s" or "2 h 5 min"."""
    if value is None:
        return NONE
    if value < 0.005:
        return f"0{SPACE}s" if value == 0 else f"<{SPACE}0.01{SPACE}s"
    if value < 0.995:
        return f"{value:.2f}{SPACE}s"
    if value < 99.95:
        return f"{value:.1f}{SPACE}s"
    whole = round(value)
    if whole < 600:
        return f"{whole}{SPACE}s"
    if whole < 3600:
        return f"{whole // 60}{SPACE}min{SPACE}{whole % 60}{SPACE}s"
    minutes = round(value / 60)
    return f"{minutes // 60:,}{SPACE}h{SPACE}{minutes % 60}{SPACE}min"


def size(count: float | None) -> str:
    """Bytes as "312 B", "4.1 MB" or "1.2 GB", in powers of 1000."""
    if count is None:
        return NONE
    if count < 1000:
        return f"{count:.0f}{SPACE}B"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.5 or unit == "GB":
            break
    return f"{count:,.{1 if count < 9.95 else 0}f}{SPACE}{unit}"


def count(value: float | None) -> str:
    """A number of things as "10,000"."""
    return NONE if value is None else f"{value:,.0f}"


def rate(images: float, duration: float | None) -> str:
    """Images a second as "1,234", or nothing where no time was measured."""
    if not duration:
        return NONE
    per_second = images / duration
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def value(anything: Any) -> str:
    """A setting or a recorded value as short text."""
    match anything:
        case None:
            return NONE
        case bool():
            return "yes" if anything else "no"
        case float():
            return f"{anything:.4g}"
        case list() | tuple():
            return ", ".join(_nested(item) for item in anything) or "none"
        case dict():
            return _nested(anything) if anything else "none"
    return str(anything)


def _nested(anything: Any) -> str:
    """What stands within another value, as a study has it: "{dense: 32, l2: 0.001}"."""
    match anything:
        case list() | tuple():
            return f"[{', '.join(map(_nested, anything))}]"
        case dict():
            inside = (f"{name}: {_nested(content)}" for name, content in anything.items())
            return f"{{{', '.join(inside)}}}"
    return value(anything)


def settings(chosen: Mapping[str, Any]) -> str:
    """A head's settings as "C = 0.01, tol = 0.001".

    A line may end behind the name of a long one, whose value would else be broken on a phone.
    """
    said = ((name, value(chosen[name])) for name in sorted(chosen))
    return ", ".join(
        f"{name}{SPACE if len(name + text) <= TOGETHER else ' '}={SPACE}{text}"
        for name, text in said
    )


def flatten(fields: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of nested fields, as pairs of a name such as "hardware · cores" and a text."""
    for name, content in fields.items():
        full = f"{above} · {name}" if above else name
        if isinstance(content, Mapping) and content:
            yield from flatten(content, full)
        elif name.endswith("_bytes") and isinstance(content, int | float | None):
            yield full.removesuffix("_bytes"), size(content)
        else:
            yield full, value(content)


def seen(run: Mapping[str, Any]) -> str:
    """What a head sees of the layers: the view, and what is done to the features."""
    view = {"mean": "mean of the views", "rows": "each view a row"}.get(run["view"], run["view"])
    parts = [view, "roots" if run["root"] else ""]
    if run["pca"]:
        parts.append(f"{run['pca']:,} {'whitened ' if run['whiten'] else ''}components")
    elif run["whiten"]:
        parts.append("whitened")
    return ", ".join(filter(None, parts))


def temperature(value: float | None) -> str:
    """A temperature as "1.30"; one near nothing, of a run that is always right, as "0.001"."""
    return NONE if value is None else f"{value:.2f}" if value >= 0.1 else f"{value:.1g}"


def trained(unfreeze: Any, of: str = "") -> str:
    """Which layers of a backbone train, as "the last 6 layers"; `of` is said behind "layers"."""
    match unfreeze:
        case "all":
            return f"all layers{of}"
        case "none":
            return f"no layer{of}"
        case {"last": 1}:
            return f"the last layer{of}"
        case {"last": count}:
            return f"the last {count} layers{of}"
        case {"from": int(index)}:
            return f"layer {index}{of} and all behind it"
        case {"from": name}:
            return f"{name} and all layers{of} behind it"
    return value(unfreeze)


def layers(stack: Sequence[Any]) -> str:
    """Layers as "conv 32 (kernel 3), pool 2, batch_normalization"."""
    return ", ".join(layer if isinstance(layer, str) else _layer(layer) for layer in stack)


def _layer(layer: Mapping[str, Any]) -> str:
    first, *options = (f"{name} {_nested(content)}" for name, content in layer.items())
    return f"{first} ({', '.join(options)})" if options else first
