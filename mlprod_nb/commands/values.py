"""What each word of a line can be: names of the workspace, choices, variables, files.

A parameter is looked up by its verb and name (``report kind``), then by its name alone (``endpoint``). What is in
neither table is free text, and nothing is offered.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlprod_nb.lifecycle.completing.names import Names

_MOST_FILES = 200

METRICS = (
    *("absolute_error", "accuracy", "auc", "brier", "calibration_bias", "error_rate", "latency_ms", "latency_p95_ms"),
    *("log_loss", "positive_rate", "rmse"),
)
#: Words that do not depend on the workspace; tests hold them to the modules that read them.
CHOICES: dict[str, tuple[str, ...]] = {
    "report kind": ("drift", "performance", "abtest"),
    "feedback kind": ("label", "reward", "interaction"),
    "role": ("viewer", "reviewer", "caller", "operator", "admin"),
    "mode": ("recent", "full", "weighted"),
    "method": ("always-valid", "planned", "fixed", "paired"),
    "metric": METRICS,
    "primary": METRICS,
    "said": ("ok", "warn", "alarm"),
    "overlap": ("wait", "skip", "replace"),
    "schedule export kind": ("cron", "systemd", "github", "airflow", "kubernetes"),
    "ci init provider": ("github", "gitlab"),
    "shell": ("bash", "zsh", "fish"),
    "notebook name": ("quickstart", "train", "report", "retrain", "triage"),
}
DETECTORS = (
    *("ks", "location", "scale", "cramer_von_mises", "anderson_darling", "wasserstein", "chi_square", "g_test"),
    *("fisher", "total_variation", "jensen_shannon", "hellinger", "missing", "psi"),
)


@dataclass(frozen=True)
class Asked:
    """A word that is being written.

    Attributes:
        fragment: Its beginning.
        known: The names of the workspace.
        given: The words that the line holds already, by parameter.
        variables: The notebook's variables.
        folder: The directory that file names start from.
    """

    fragment: str
    known: Names = field(default_factory=Names)
    given: Mapping[str, list[str]] = field(default_factory=dict)
    variables: tuple[str, ...] = ()
    folder: Path = Path()

    def first(self, parameter: str) -> str:
        """Return a parameter's word on the line, or nothing."""
        return next(iter(self.given.get(parameter, ())), "")


@dataclass(frozen=True)
class Suggestion:
    """One way to go on.

    Attributes:
        text: The whole word.
        kind: ``"verb"``, ``"option"``, ``"variable"``, ``"name"`` or ``"file"``.
        help: What it is, in a few words; may be empty.
    """

    text: str
    kind: str
    help: str = ""


def offered(verb: str, parameter: str, asked: Asked, *, takes_object: bool) -> list[Suggestion]:
    """Return what a word of a verb's line can be."""
    variables = [Suggestion(f"${name}", "variable") for name in asked.variables]
    if asked.fragment.startswith("$"):
        return variables
    key = f"{verb} {parameter}"
    found = _SOURCES.get(key) or _SOURCES.get(parameter)
    words = list(found(asked)) if found else []
    words += [Suggestion(word, "name") for word in CHOICES.get(key) or CHOICES.get(parameter) or ()]
    # A kind that is the workspace's own and a built-in one too is one.
    unique = {word.text: word for word in words}
    return [*unique.values(), *(variables if takes_object else ())]


def _names(words: Iterable[str], said: str = "") -> list[Suggestion]:
    return [Suggestion(word, "name", said) for word in words]


def _told(words: Mapping[str, str]) -> list[Suggestion]:
    return [Suggestion(word, "name", said) for word, said in words.items()]


def _endpoints(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.endpoints)


def _models(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.models)


def _versions(asked: Asked) -> list[Suggestion]:
    known = (asked.known.aliases, asked.known.models)
    # A registry holds thousands: what does not begin so is left out here, before anything is made of it.
    return _names(word for names in known for of in names.values() for word in of if word.startswith(asked.fragment))


def _aliases(asked: Asked) -> list[Suggestion]:
    model = asked.first("version").partition("@")[0].partition("/")[0] or asked.first("name")
    known = [alias.partition("@")[2] for alias in asked.known.aliases.get(model, ())]
    return _names(dict.fromkeys([*known, "champion", "challenger"]))


def _variants(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.variants.get(asked.first("endpoint"), ()))


def _shares(asked: Asked) -> list[Suggestion]:
    endpoint = asked.first("endpoint")
    model = asked.known.aliases.get(endpoint, [])
    known = [*asked.known.variants.get(endpoint, ()), *(alias.partition("@")[2] for alias in model)]
    used = {share.partition("=")[0] for share in asked.given.get("shares", ())}
    return _names(f"{name}=" for name in dict.fromkeys(known) if name not in used)


def _revisions(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.revisions.get(asked.first("endpoint"), ()))


def _columns(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.columns.get(asked.first("endpoint"), ()))


def _listed(words: Iterable[str]) -> Callable[[Asked], list[Suggestion]]:
    """Return what completes the last of several words with commas between them."""

    def last(asked: Asked) -> list[Suggestion]:
        before, comma, _ = asked.fragment.rpartition(",")
        used = before.split(",")
        return _names(f"{before}{comma}{word}" for word in words if word not in used)

    return last


def _files(*ends: str) -> Callable[[Asked], list[Suggestion]]:
    """Return what completes a path: folders, and the files that end so."""

    def files(asked: Asked) -> list[Suggestion]:
        typed = asked.fragment.rpartition("/")
        found = []
        with suppress(OSError, ValueError):
            for path in sorted((asked.folder / f"{typed[0]}{typed[1]}").iterdir())[:_MOST_FILES]:
                folder = path.is_dir()
                if (folder or path.suffix in ends) and (not path.name.startswith(".") or typed[2].startswith(".")):
                    text = f"{typed[0]}{typed[1]}{path.name}{'/' if folder else ''}"
                    found.append(Suggestion(text if " " not in text else shlex.quote(text), "file"))
        return found

    return files


def _kinds(asked: Asked) -> list[Suggestion]:
    return _names(asked.known.kinds)


_rows = _files(".csv", ".parquet")
_SOURCES: dict[str, Callable[[Asked], list[Suggestion]]] = {
    "endpoint": _endpoints,
    "version": _versions,
    "against": _versions,
    "register name": _models,
    "models name": _models,
    "access revoke name": lambda asked: _names(asked.known.holders),
    "alias": _aliases,
    "treatment": _variants,
    "shares": _shares,
    "to": _revisions,
    "unit": _columns,
    "units": _columns,
    "event_time": _columns,
    "where": _columns,
    "drill": _columns,
    "segments": lambda asked: _listed(text.text for text in _columns(asked))(asked),
    "detectors": _listed(DETECTORS),
    "guardrails": _listed(METRICS),
    "alert": lambda asked: _told(asked.known.alerts),
    "job": lambda asked: _told(asked.known.jobs),
    "task": lambda asked: _told(asked.known.tasks),
    "digest": lambda asked: _told(asked.known.reports),
    "report": lambda asked: _told(asked.known.reports),
    "diff before": lambda asked: [*_told(asked.known.reports), *_versions(asked)],
    "diff after": lambda asked: [*_told(asked.known.reports), *_versions(asked)],
    "report kind": _kinds,
    "report new from_": _kinds,
    "report batch endpoints": lambda asked: _listed(text.text for text in _endpoints(asked))(asked),
    "report batch kinds": lambda asked: _listed(asked.known.kinds)(asked),
    "ci init model": _models,
    "ci init notebooks": _files(".ipynb"),
    "panel name": lambda asked: _names(asked.known.panels),
    "register model": _files(".joblib"),
    "replay model": _versions,
    "data": _rows,
    "target": _rows,
    "holdout": _rows,
    "holdout_target": _rows,
    "ids": _rows,
    "values": _rows,
    "path": _files(".ipynb"),
    "into": _files(),
    "export to": _files(".zip"),
    "import file": _files(".zip"),
    "import as_": _models,
    "import digest": lambda _asked: [],
}


def known_parameters() -> set[str]:
    """Return what can be completed, as ``verb parameter`` or ``parameter``."""
    return {*_SOURCES, *CHOICES}


def said(value: Any) -> str:
    """Return a word as the shell's completion shows it beside the text: one short line."""
    line = " ".join(str(value).split())
    return line if len(line) <= 60 else f"{line[:59]}…"
