"""What MLflow's callers write, read at the edge: URIs of targets and models, configuration, tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from mlprod_nb.errors import NotFound, UsageError

TARGET = "mlprod"
_MODEL = re.compile(r"models:/+(?P<model>[^/@]+)(?:/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))")
_TABLES = ("dataframe_split", "dataframe_records", "instances", "inputs")
_BESIDE = ("units", "event_time")


def directory(target_uri: str) -> Path | None:
    """Return the directory that a target's URI names; ``None`` where it names none.

    Raises:
        UsageError: It names another machine.
    """
    place = unquote(target_uri.removeprefix(TARGET).removeprefix(":"))
    if place.startswith("//") and not place.startswith("///"):
        raise UsageError(
            f"{target_uri!r} names another machine, and a workspace is a directory of this one.",
            hint="Write it with one slash: mlprod:/home/ann/shop",
        )
    return Path(place) if place else None


def version(model_uri: str) -> str:
    """Return the version that a model's URI names, as the verbs write it: ``flights/3``, ``flights@champion``.

    Raises:
        UsageError: It names no version of a registered model.
    """
    found = _MODEL.fullmatch(model_uri)
    if found is None:
        raise UsageError(
            f"{model_uri!r} names no version of a registered model, and only those are served.",
            hint="Write models:/MODEL/VERSION or models:/MODEL@ALIAS. A model that lies in a run or a folder is "
            "registered first, with the data that it was trained on: mlprod register --help",
        )
    if found["alias"]:
        return f"{found['model']}@{found['alias']}"
    return found["model"] if found["version"] == "latest" else f"{found['model']}/{found['version']}"


def options(config: Mapping[str, Any] | None, *known: str) -> dict[str, Any]:
    """Return a call's configuration as a verb's options.

    Raises:
        NotFound: A key is none of the known ones.
    """
    for key in config or {}:
        if key not in known:
            raise NotFound("configuration key", key, known, besides=f"See: mlflow deployments help -t {TARGET}")
    return dict(config or {})


def shares(given: Any) -> list[str]:
    """Return a split's shares: of one text with spaces between them, or of a list."""
    return given.split() if isinstance(given, str) else [str(share) for share in given]


def check(name: str, endpoint: str | None, flavor: str | None = None) -> None:
    """Check what MLflow lets callers choose and a workspace does not.

    Raises:
        UsageError: An endpoint of another name than the deployment's, or a flavor, is asked for.
    """
    if endpoint is not None and endpoint != name:
        raise UsageError(
            f"a deployment of mlprod is an endpoint by the same name, here {name!r}.",
            hint=f"Leave the endpoint {endpoint!r} out; a second version behind {name!r} is a share of it.",
        )
    if flavor is not None:
        raise UsageError(
            f"the flavor {flavor!r} cannot be chosen: a version is served as ONNX where that was found to agree, else "
            "by MLflow's python_function.",
            hint="Leave the flavor out.",
        )


def asked(name: str | None, endpoint: str | None) -> str:
    """Return which endpoint is asked, by either of the names that MLflow lets callers give.

    Raises:
        UsageError: None is named, or two are.
    """
    chosen = name or endpoint
    if not chosen:
        raise UsageError("no deployment is named.", hint="Give its name, or its endpoint's, which is the same.")
    check(chosen, endpoint)
    return chosen


def table(inputs: Any) -> dict[str, Any]:
    """Return rows as options of ``predict``: a table as it is, or MLflow's JSON, with units and moments beside it.

    Raises:
        NotFound: Something else stands beside the table.
    """
    import pandas as pd

    if not isinstance(inputs, dict):
        return {"data": pd.DataFrame(inputs) if isinstance(inputs, list) else inputs}
    form = next((key for key in _TABLES if key in inputs), None)
    if form is None:
        return {"data": pd.DataFrame(inputs)}
    stranger = next((key for key in inputs if key not in (form, *_BESIDE)), None)
    if stranger is not None:
        raise NotFound(f"member beside {form!r} called", stranger, _BESIDE)
    rows = inputs[form]
    data = pd.DataFrame(rows["data"], columns=rows.get("columns")) if form == "dataframe_split" else pd.DataFrame(rows)
    return {"data": data, **{key: inputs[key] for key in _BESIDE if key in inputs}}
