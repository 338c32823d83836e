"""The design of an A/B test as users write it: YAML, TOML or JSON, and options beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from mlprod_nb.abtest import custom, metrics, segmenting
from mlprod_nb.abtest.custom import CustomMetric
from mlprod_nb.abtest.design import Design, Guardrail
from mlprod_nb.errors import NotFound, UsageError

_CONTROL = "champion"


def merge(text: str, options: Mapping[str, Any]) -> str:
    """Return a design's text with options added; an option that is empty or 0 is not given.

    Raises:
        UsageError: The text cannot be read, or names what an option names, too.
    """
    given = {key: value for key, value in options.items() if value}
    if not given:
        return text
    import yaml

    values = _mapping(text)
    for key in given:
        if key in values:
            option = f"--{key.replace('_', '-')}"
            raise UsageError(f"{key} is in the design and in {option} too.", hint="Say it once.")
    return str(yaml.safe_dump({**values, **given}))


def own_metrics(text: str) -> tuple[CustomMetric, ...]:
    """Read metrics as a design has them under its key ``metrics``, from YAML, TOML or JSON.

    Raises:
        UsageError: Something in it is wrong; the message names it and the nearest right one.
    """
    return custom.read(_mapping(text))


def parse(
    text: str,
    *,
    endpoint: str,
    variants: Sequence[str],
    task: metrics.Task,
    started_at: datetime,
    shadows: Sequence[str] = (),
) -> Design:
    """Read a design from YAML, TOML or JSON; empty text takes every default.

    Args:
        text: Keys are the fields of :class:`Design`, or ``variants: [control, treatment]``. Guardrails are a list of
            metrics, or a mapping from metric to tolerance.
        endpoint: The endpoint's name.
        variants: The names of the variants that have traffic.
        task: What the endpoint does; gives the default metric.
        started_at: When the test begins.
        shadows: The names of the variants that answer without being heard. A treatment among them is compared in pairs.

    Without a method, looks and expected rows together make a plan; everything else may be read at any time.

    Raises:
        UsageError: A key, a value, a variant or a metric is wrong; the message names it and the nearest right one.
    """
    values = _mapping(text)
    own = ("endpoint", "started_at", "others", "custom")
    known = [field.name for field in fields(Design) if field.name not in own] + ["variants", "treatments", "metrics"]
    for key in values:
        if key not in known:
            raise NotFound("key of an A/B design", str(key), known)
    control, treatment, *others = _variants(values, variants, shadows)
    apart = ("variants", "treatments", "guardrails", "metrics")
    typed = {key: _typed(key, value) for key, value in values.items() if key not in apart}
    brought = custom.read(values.get("metrics", {}))
    method = typed.setdefault("method", _usual_method(typed, in_shadow=treatment in shadows))
    if (method == "paired") != (treatment in shadows):
        kind = "a shadow, which is read" if treatment in shadows else "no shadow, so it cannot be read"
        raise UsageError(f"{treatment!r} is {kind} in pairs; method is {method!r}.", hint="Leave the method out.")
    if method in ("fixed", "planned") and "expected_rows" not in typed:
        raise UsageError(
            f"method {method!r} needs expected_rows, the number of predictions at which the test is read.",
            hint=f"Find it with: mlprod abtest plan {endpoint} --effect EFFECT",
        )
    typed.setdefault("primary", metrics.default_metric(task))
    typed.update(control=control, treatment=treatment, others=tuple(others), custom=brought)
    typed["guardrails"] = _guardrails(values.get("guardrails", []), brought)
    return Design(endpoint=endpoint, started_at=started_at, **typed)


def _usual_method(typed: Mapping[str, Any], *, in_shadow: bool) -> str:
    if in_shadow:
        return "paired"
    return "planned" if "looks" in typed and "expected_rows" in typed else "always-valid"


def _mapping(text: str) -> dict[str, Any]:
    import tomllib

    import yaml

    problem = "write one 'key: value' on each line"
    try:
        data = yaml.safe_load(text)
        if data is None:
            return {}
        if isinstance(data, dict):
            return data
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = f"line {mark.line + 1}: {getattr(error, 'problem', error)}" if mark else str(error)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise UsageError(f"the A/B design is neither YAML nor TOML: {problem}.", hint="As in: primary: brier") from None


def _variants(values: Mapping[str, Any], heard: Sequence[str], shadows: Sequence[str]) -> list[str]:
    known, named = [*heard, *shadows], values.get("variants")
    if named is not None:
        if not isinstance(named, list) or len(named) < 2 or {"control", "treatment", "treatments"} & set(values):
            raise UsageError("variants is a list of two or more: the control, then the treatments.")
        chosen = [str(name) for name in named]
    elif "treatments" in values:
        several = values["treatments"]
        if not isinstance(several, list) or not several or "treatment" in values:
            raise UsageError("treatments is a list of variants, each compared with the control.")
        control = str(values.get("control", _CONTROL if _CONTROL in heard else next(iter(heard), "")))
        chosen = [control, *(str(name) for name in several)]
    else:
        control = str(values.get("control", _CONTROL if _CONTROL in heard else next(iter(heard), "")))
        others = [name for name in known if name != control]
        if "treatment" not in values and len(others) != 1:
            if others:
                raise UsageError(
                    f"the split has {len(known)} variants ({', '.join(known)}).",
                    hint="Name the treatment, or several: treatments: [A, B].",
                )
            raise UsageError("the split has one variant.", hint="Split first: mlprod route ENDPOINT A=50 B=50")
        chosen = [control, str(values.get("treatment", others[0] if others else ""))]
    for name in chosen:
        if name not in known:
            raise NotFound("variant with traffic", name, known)
    return chosen


def _guardrails(value: Any, brought: Sequence[CustomMetric]) -> tuple[Guardrail, ...]:
    items: list[tuple[Any, Any]]
    if isinstance(value, str):
        items = [(name.strip(), None) for name in value.split(",")]
    elif isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = [pair for item in value for pair in (item.items() if isinstance(item, dict) else [(item, None)])]
    else:
        raise UsageError("guardrails is a list of metrics, or a mapping from metric to tolerance.")
    found = []
    for name, tolerance in items:
        own = next((metric for metric in brought if metric.name == name), None)
        metric = own or metrics.find(str(name), [other.name for other in brought])
        limit = metric.tolerance if tolerance is None else _number(f"guardrail {name}", tolerance)
        found.append(Guardrail(metric.name, limit))
    return tuple(found)


def _typed(key: str, value: Any) -> Any:
    if key == "covariates":
        names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UsageError(f"covariates is {value!r}; it is a list of columns.")
        return tuple(names)
    if key == "segments":
        return segmenting.texts(value)
    if key in ("minimal_effect", "alpha", "power", "maximum_days", "cap", "floor"):
        return _number(key, value)
    if key in ("looks", "expected_rows"):
        number = _number(key, value)
        if not number.is_integer():
            raise UsageError(f"{key} is {value!r}; it is a whole number.")
        return int(number)
    if isinstance(value, dict | list):
        raise UsageError(f"{key} is {value!r}; it is a text.")
    return "" if value is None else str(value).strip()


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}; it is a number.") from None
