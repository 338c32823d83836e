"""The one module that imports alibi-detect: making its detectors quietly, saving them and loading them."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LOGGERS = ("alibi_detect", "transformers", "numba")
_THRESHOLDS = "thresholds.npy"


def available() -> bool:
    """Say whether alibi-detect is installed, without importing it."""
    return importlib.util.find_spec("alibi_detect") is not None


def has_torch() -> bool:
    """Say whether torch is installed, which some of its detectors run on."""
    return importlib.util.find_spec("torch") is not None


@contextlib.contextmanager
def quiet(seed: int) -> Iterator[None]:
    """Keep third-party warnings, log lines and hints about torch out of a notebook, and put all back afterwards.

    alibi-detect draws from numpy's global generator: it is seeded here, and given back as it was.
    """
    import io

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    state = np.random.get_state()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        np.random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(state)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def drawing_by_torch(seed: int) -> Iterator[None]:
    """Seed torch's global generator, from which its permutations are drawn, and give it back as it was."""
    import torch

    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)


def make(name: str, reference: NDArray[Any], **options: Any) -> Any:
    """Make one of alibi-detect's detectors."""
    from alibi_detect import cd

    return getattr(cd, name)(reference, **options)


@dataclass(frozen=True)
class Shelf:
    """Where the detectors that were fitted to a version's reference are kept.

    They are alibi-detect's own saved form, a text of settings and arrays, and none of it is a pickle; nothing but this
    package reads them.

    Attributes:
        folder: The folder of the version; ``None``: nothing is kept.
    """

    folder: Path | None = None

    def fitted(self, name: str, reference: NDArray[Any], **options: Any) -> Any:
        """Return the detector, loaded where it was saved before and fits, else made and saved."""
        if self.folder is None:
            return make(name, reference, **options)
        place = self.folder / name / _key(reference, options)
        with contextlib.suppress(Exception):  # whatever is wrong with a file, it can be made anew
            return _load(name, place)
        detector = make(name, reference, **options)
        _keep(place, lambda folder: _save(detector, folder))
        return detector


def _key(reference: NDArray[Any], options: dict[str, Any]) -> str:
    told = f"{reference.dtype} {reference.shape} {sorted(options.items())}".encode()
    return hashlib.sha256(told + np.ascontiguousarray(reference).tobytes()).hexdigest()[:24]


def _save(detector: Any, folder: Path) -> None:
    from alibi_detect.saving import save_detector

    save_detector(detector, folder)
    if hasattr(detector, "thresholds"):
        np.save(folder / _THRESHOLDS, detector.thresholds)


def _load(name: str, place: Path) -> Any:
    """Load a detector. An online one would simulate its thresholds anew: it makes a few, and takes those kept."""
    if not (place / _THRESHOLDS).is_file():
        from alibi_detect.saving import load_detector

        return load_detector(place)
    import tomllib

    config = tomllib.loads((place / "config.toml").read_text(encoding="utf-8"))
    thresholds = np.load(place / _THRESHOLDS)
    reference = np.load(place / str(config["x_ref"]))
    kept = ("ert", "window_sizes", "alternative", "n_features")
    options = {key: config[key] for key in kept if config.get(key) is not None}
    detector = make(name, reference, **options, n_bootstraps=_FEWEST, verbose=False)
    detector.thresholds = thresholds
    return detector


def _keep(place: Path, write: Callable[[Path], None]) -> None:
    """Write a folder and give it its name, unless another process has done so meanwhile."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
    try:
        write(folder)
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.replace(folder, place)  # noqa: PTH105 (a folder onto its name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


#: Simulations of thresholds that are thrown away.
_FEWEST = 200
