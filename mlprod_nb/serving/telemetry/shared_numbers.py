"""The numbers of all workers of a gateway, each worker's in a file of its own, added up by whichever is asked.

Guarantee: of two answers that follow each other, by whichever workers, no counter of the second is below the first.
Every answer is made of the files only, the answering worker's own written anew; a file's counters only grow, and a
worker's successor goes on from what its file holds. What a killed worker counted after its last write, within
:data:`WRITE_SECONDS` at most, is lost. While the disk is full, what a worker counts is told by that worker alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from prometheus_client import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

WRITE_SECONDS = 0.5
"""How often a worker writes its numbers: a write is some 200 µs of its event loop, and a scrape comes every 15 s."""

_JOINED: dict[str, Callable[[float, float], float]] = {
    "mlprod_revision": max,
    "mlprod_log_lag_seconds": max,
    "mlprod_log_state": max,
    "process_start_time_seconds": min,
    "process_max_fds": min,
}
"""Gauges that are not added up."""

_Key = tuple[str, tuple[tuple[str, str], ...]]
_Family = tuple[str, str, dict[_Key, float]]


class SharedNumbers(Collector):
    """One worker's view of the numbers of all.

    Args:
        folder: Where the workers' files are; made where it does not exist.
        slot: The worker's place in the gateway.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = folder / f"{slot}.json"
        self._unwritten: dict[str, _Family] | None = None
        self._inherited = {name: family for name, family in _read(self._file).items() if family[0] != "gauge"}

    def write(self, metrics: Iterable[Metric]) -> None:
        """Replace this worker's file by its numbers of now, added to its predecessors'."""
        families = dict(self._inherited)
        for metric in metrics:
            samples = {_key(sample): sample.value for sample in metric.samples}
            family = (metric.type, metric.documentation, samples)
            known = families.get(metric.name)
            families[metric.name] = family if known is None else _join(metric.name, known, family)
        written = self._file.with_suffix(".new")
        try:
            written.write_bytes(
                orjson.dumps([[name, kind, help_, _rows(rows)] for name, (kind, help_, rows) in families.items()])
            )
            written.replace(self._file)
        except OSError:
            self._unwritten = families
        else:
            self._unwritten = None

    def inherited(self, name: str) -> list[dict[str, str]]:
        """Return the labels of a counter that this worker's predecessors told."""
        _, _, samples = self._inherited.get(name, ("", "", {}))
        return [dict(labels) for _, labels in samples]

    def others(self, name: str) -> dict[int, float]:
        """Return the value of a number without labels in each other worker's file, by the worker's slot."""
        found: dict[int, float] = {}
        for file in self._folder.glob("*.json"):
            if file != self._file:
                _, _, samples = _read(file).get(name, ("", "", {}))
                found |= {int(file.stem): value for value in samples.values()}
        return found

    def collect(self) -> Iterator[Metric]:
        """Yield each metric of all workers."""
        families: dict[str, _Family] = {}
        for numbers in self._all():
            for name, family in numbers.items():
                families[name] = _join(name, families[name], family) if name in families else family
        for name, (kind, documentation, samples) in families.items():
            metric = Metric(name, documentation, kind)
            for (sample, labels), value in sorted(samples.items(), key=lambda item: _order(item[0])):
                metric.add_sample(sample, dict(labels), value)
            yield metric

    def _all(self) -> Iterator[dict[str, _Family]]:
        """Yield each worker's numbers."""
        for file in sorted(self._folder.glob("*.json")):
            if file != self._file or self._unwritten is None:
                yield _read(file)
        if self._unwritten is not None:
            yield self._unwritten


def _join(name: str, one: _Family, other: _Family) -> _Family:
    kind, documentation, samples = one
    joined = dict(samples)
    for key, value in other[2].items():
        if key not in joined:
            joined[key] = value
        elif key[0].endswith("_created"):
            joined[key] = min(joined[key], value)
        elif kind == "gauge" and name in _JOINED:
            joined[key] = _JOINED[name](joined[key], value)
        else:
            joined[key] += value
    return kind, documentation, joined


def _read(file: Path) -> dict[str, _Family]:
    try:
        found: list[Any] = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    return {
        name: (kind, documentation, {(sample, tuple(map(tuple, labels))): value for sample, labels, value in rows})
        for name, kind, documentation, rows in found
    }


def _key(sample: Sample) -> _Key:
    return sample.name, tuple(sorted(sample.labels.items()))


def _rows(samples: dict[_Key, float]) -> list[Any]:
    return [[name, labels, value] for (name, labels), value in samples.items()]


def _order(key: _Key) -> tuple[list[tuple[str, str]], str, float]:
    """Return what sorts a histogram's buckets by their bounds."""
    name, labels = key
    bound = dict(labels).get("le", "inf")
    return [label for label in labels if label[0] != "le"], name, float(bound)
