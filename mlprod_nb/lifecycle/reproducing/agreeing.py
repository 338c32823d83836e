"""A version beside what its notebook registers when it runs again: what agrees, and what differs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import comparing
from mlprod_nb.lifecycle.comparing import Difference
from mlprod_nb.results import Result, Section, Verdict, counted

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.reproducing.replicas import Replica
    from mlprod_nb.registry.bundles import Bundle
    from mlprod_nb.registry.lineage import Lineage

_SHOWN = 60


@dataclass(frozen=True)
class MetricAgreement:
    """One metric, then and now.

    Attributes:
        metric: Its name.
        recorded: What the version has; ``None`` where it has none.
        reproduced: What the reproduction has; ``None`` where it has none.
        agrees: Whether they differ by no more than the tolerance, relative to the recorded one where that is above 1.
    """

    metric: str
    recorded: float | None
    reproduced: float | None
    agrees: bool


@dataclass(frozen=True)
class Answers:
    """The predictions for the version's own reference rows, then and now.

    Attributes:
        rows: How many rows were compared.
        label_flips: On how many of them the predicted label differs.
        largest_difference: The largest difference of a score; of a regression's value relative to its size.
    """

    rows: int
    label_flips: int
    largest_difference: float


@dataclass(frozen=True)
class ReproduceResult(Result):
    """Whether a version can be made again.

    Attributes:
        verdict: OK where predictions and metrics agree; a warning where they do on other data; alarm where they do
            not, or where the notebook does not come to its registration.
        version: As ``flights/3``.
        rows: On how many reference rows the predictions were compared; 0 where they could not be.
        label_flips: On how many of them the predicted label differs.
        largest_difference: The largest difference of a score; of a regression's value relative to its size; ``None``
            where predictions could not be compared.
        tolerance: The largest difference that agrees.
        same_bundle: Whether the bundle is the same, byte for byte.
        environment: What it ran in.
        notebook: The executed notebook, relative to the workspace.
        seconds: How long the execution took.
        said: What differs, in words.
        metrics: Each metric, then and now.
        differences: What differs in data, parameters, packages and code.
    """

    verdict: Verdict
    version: str
    rows: int
    label_flips: int
    largest_difference: float | None
    tolerance: float
    same_bundle: bool
    environment: str
    notebook: str
    seconds: float
    said: tuple[str, ...]
    metrics: tuple[MetricAgreement, ...]
    differences: tuple[Difference, ...]
    _frame_field: ClassVar[str] = "metrics"
    _hidden: ClassVar[tuple[str, ...]] = ("version", "said", "differences")

    def sections(self) -> list[Section]:
        """Return the sentences, the facts, the metrics and the differences."""
        said = Section("", (), tuple(("", sentence) for sentence in self.said))
        rows = tuple((d.part, d.what, d.before or "nothing", d.after or "nothing") for d in self.differences[:_SHOWN])
        more = f" (first {_SHOWN} of {len(self.differences):,})" if len(self.differences) > _SHOWN else ""
        table = Section(f"what differs{more}", ("part", "what", "recorded", "now"), rows)
        return [section for section in (said, *super().sections(), table) if section.rows]


@dataclass(frozen=True)
class Ran:
    """How a reproduction ran.

    Attributes:
        version: As ``flights/3``.
        tolerance: The largest difference that agrees.
        environment: What it ran in.
        rebuilt: Whether that was made of the recorded packages.
        notebook: The executed notebook, relative to the workspace.
        seconds: How long it took.
        said: What there was to say before it ran.
    """

    version: str
    tolerance: float
    environment: str
    rebuilt: bool
    notebook: str
    seconds: float
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Original:
    """What a version has to be held against.

    Attributes:
        bundle: Its bundle.
        lineage: Where it comes from.
        metrics: Its performance on the reference data.
    """

    bundle: Bundle
    lineage: Lineage
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class _Found:
    """What a comparison came to; nothing of it where the notebook did not register."""

    answers: Answers | None = None
    metrics: tuple[MetricAgreement, ...] = ()
    differences: tuple[Difference, ...] = ()
    same: bool = False


def failed(ran: Ran, sentence: str, *, action: str = "") -> ReproduceResult:
    """Return that a notebook does not come to its registration."""
    verdict = Verdict("alarm", f"{ran.version} is not reproduced: {sentence}", action)
    return _result(ran, verdict, ran.said, _Found())


def judge(ran: Ran, recorded: Original, replica: Replica) -> ReproduceResult:
    """Say whether a version and its reproduction agree."""
    answers, problem = compare(recorded.bundle, replica.bundle)
    metrics = _metrics(recorded.metrics, replica.metrics, ran.tolerance)
    one, other = recorded.lineage, replica.lineage
    differences = (
        *comparing.data_of(one, other),
        *comparing.parameters_of(one, other),
        *comparing.packages_of(one, other),
        *comparing.commits_of(one, other),
    )
    data = other_data(one, other)
    wrong = [problem] if problem else []
    if answers is not None:
        wrong += _of_answers(answers, ran.tolerance)
    off = [m.metric for m in metrics if not m.agrees]
    wrong += [f"{len(off)} of {counted(len(metrics), 'metric')} differ ({', '.join(off)})"] if off else []
    found = _Found(answers, metrics, differences, recorded.bundle.digest == replica.bundle.digest)
    said = (*ran.said, *_in_words(differences, data, wrong))
    return _result(ran, _verdict(ran, wrong, data, found), said, found)


def compare(recorded: Bundle, new: Bundle) -> tuple[Answers | None, str]:
    """Compare what two bundles say about the first one's reference rows; or say why they cannot be compared.

    Where both hold the same rows, what the models said when they were registered is compared, so nothing is loaded.
    """
    import pyarrow.parquet as pq

    from mlprod_nb.registry import onnx_runner
    from mlprod_nb.registry.bundles import PREDICTION_COLUMN, REFERENCE, SCORE_COLUMN

    if recorded.manifest.task != new.manifest.task:
        return None, f"it is a {new.manifest.task} now, and was a {recorded.manifest.task}"
    before, after = (pq.read_table(bundle.path / REFERENCE) for bundle in (recorded, new))
    names = list(recorded.signature.names)
    if recorded.signature == new.signature and before.select(names).equals(after.select(names)):
        scores, labels = after[SCORE_COLUMN].to_numpy(), after[PREDICTION_COLUMN].to_pylist()
    else:
        try:
            scores, labels = _asked(new, {name: before[name].to_pylist() for name in names})
        except MlprodError as error:
            return None, f"its predictions cannot be compared: {error.message.rstrip('.')}"
    difference = onnx_runner.largest_difference(recorded.manifest.task, before[SCORE_COLUMN].to_numpy(), scores)
    flips = 0
    if recorded.manifest.task == "classification":
        said = before[PREDICTION_COLUMN].to_pylist()
        flips = sum(one != other for one, other in zip(said, labels, strict=True))
    return Answers(before.num_rows, flips, difference), ""


def other_data(one: Lineage, other: Lineage) -> str:
    """Say in which way data are others than recorded; nothing where they are the same."""
    before, after = one.data, other.data
    if before.digest != after.digest:
        rows = f": {before.rows:,} rows then, {after.rows:,} now" if before.rows != after.rows else ""
        return f"the reference data are others than recorded{rows}"
    return "the outcomes are others than recorded" if before.target_digest != after.target_digest else ""


def _asked(bundle: Bundle, columns: dict[str, list[Any]]) -> tuple[Any, list[Any]]:
    from mlprod_nb.registry import onnx_runner
    from mlprod_nb.registry.runner import open_runner

    output = open_runner(bundle).run(onnx_runner.to_arrays(bundle.signature, columns))
    scores = onnx_runner.scores(bundle.manifest.task, bundle.manifest.classes, output)
    return scores, [] if output[0] is None else output[0].tolist()


def _of_answers(answers: Answers, tolerance: float) -> list[str]:
    found = []
    if answers.label_flips:
        found.append(f"{answers.label_flips:,} of {answers.rows:,} labels differ")
    if not answers.largest_difference <= tolerance:
        found.append(f"scores differ by up to {answers.largest_difference:.2g}")
    return found


def _metrics(before: Mapping[str, float], after: Mapping[str, float], tolerance: float) -> tuple[MetricAgreement, ...]:
    rows = []
    for name in dict.fromkeys([*before, *after]):
        one, other = before.get(name), after.get(name)
        agrees = one is not None and other is not None and _near(one, other, tolerance)
        rows.append(MetricAgreement(name, one, other, agrees))
    return tuple(rows)


def _near(one: float, other: float, tolerance: float) -> bool:
    if math.isnan(one) and math.isnan(other):
        return True
    return abs(one - other) <= tolerance * max(1.0, abs(one))


def _verdict(ran: Ran, wrong: list[str], data: str, found: _Found) -> Verdict:
    answers, metrics = found.answers, found.metrics
    if wrong:
        packages = any(d.part == "packages" for d in found.differences)
        action = f"mlprod reproduce {ran.version} --environment" if packages and not ran.rebuilt and not data else ""
        why = f"; {data}" if data else ""
        return Verdict("alarm", f"{ran.version} is not reproduced: {', '.join(wrong)}{why}.", action)
    assert answers is not None
    agree = (
        f"predictions for {answers.rows:,} rows agree within {answers.largest_difference:.2g} "
        f"(tolerance {ran.tolerance:g})"
    )
    agree += f", and so {'does' if len(metrics) == 1 else 'do'} {counted(len(metrics), 'metric')}" if metrics else ""
    if data:
        return Verdict("warn", f"{ran.version} is reproduced on other data: {agree}; {data}.")
    return Verdict("ok", f"{ran.version} is reproduced: {agree}.")


def _in_words(differences: tuple[Difference, ...], data: str, wrong: list[str]) -> list[str]:
    said = []
    packages = [d for d in differences if d.part == "packages"]
    said += [f"{_differ(packages, 'package')}."] if packages else []
    parameters = [d for d in differences if d.part == "parameters"]
    said += [f"{_differ(parameters, 'hyper-parameter')}."] if parameters else []
    if any(d.part == "code" for d in differences):
        said.append("the git commit is another: modules that the notebook imports may have changed.")
    if wrong and not said and not data:
        said.append(
            "reference data, hyper-parameters, packages and commit are as recorded. So the training itself is random: "
            "give it a seed, as random_state=0. Or it was fitted on rows that were not registered, and they are others."
        )
    return said


def _differ(found: list[Difference], thing: str) -> str:
    return f"{counted(len(found), thing)} differ{'s' if len(found) == 1 else ''}"


def _result(ran: Ran, verdict: Verdict, said: tuple[str, ...], found: _Found) -> ReproduceResult:
    answers = found.answers
    difference = None if answers is None else answers.largest_difference
    return ReproduceResult(
        verdict=verdict,
        version=ran.version,
        rows=answers.rows if answers else 0,
        label_flips=answers.label_flips if answers else 0,
        largest_difference=difference if difference is None or np.isfinite(difference) else None,
        tolerance=ran.tolerance,
        same_bundle=found.same,
        environment=ran.environment,
        notebook=ran.notebook,
        seconds=ran.seconds,
        said=said,
        metrics=found.metrics,
        differences=found.differences,
    )
