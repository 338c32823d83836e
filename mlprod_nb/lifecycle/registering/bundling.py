"""A bundle for a version that plain MLflow registered: made of its model, and of rows that it is to answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.training import FEWEST, TrainingReader
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 20_000
_EXAMPLE = 200


def ensure(context: Context, version: ModelVersion, endpoint: str) -> str:
    """Give a version a bundle where it has none; return in words what was done, or nothing.

    Loading the model runs code from it, as its author's registration did.

    Raises:
        Refused: There are no rows to make a bundle with, or the model cannot be served.
    """
    if version.bundle:
        return ""
    context.change()
    context.progress.step(f"making a bundle of {version.ref}, which was registered elsewhere")
    rows, target, source = _reference(context, version, endpoint)
    try:
        runtime = _make(context, version, rows, target)
    except MlprodError as error:
        raise Refused(f"{version.ref} was registered elsewhere, and no bundle can be made of it: {error}") from None
    return f"its bundle ({runtime}) was made with {len(rows):,} rows of {source}."


def _make(context: Context, version: ModelVersion, rows: pd.DataFrame, target: Any) -> str:
    from mlprod_nb.lifecycle.registering import candidates
    from mlprod_nb.registry import attachments, conversion, versions
    from mlprod_nb.registry.bundles import canonical_json

    prepared = conversion.prepare(context.registry.load(version), rows, target)
    profile = candidates.profile_of(prepared)
    with temporary_folder("work") as scratch:
        bundle = conversion.build_bundle(prepared, folder=scratch, profile=profile.to_json())
        version = attachments.housed(context.registry, version)
        attachments.attach(context.registry, version, bundle.path, versions.BUNDLE_ARTIFACT)
        context.bundles.add(bundle.path)
    metrics = {estimate.metric: estimate.value for estimate in profile.performance}
    tags = {
        versions.RUNTIME_TAG: bundle.manifest.runtime,
        versions.REASON_TAG: bundle.manifest.runtime_reason,
        versions.METRICS_TAG: canonical_json(metrics).decode(),
        # The last: a version has its bundle once this is there.
        versions.BUNDLE_TAG: bundle.digest,
    }
    for name, value in tags.items():
        attachments.tag(context.registry, version, name, value)
    return bundle.manifest.runtime


def _reference(context: Context, version: ModelVersion, endpoint: str) -> tuple[pd.DataFrame, Any, str]:
    """Return rows that the version is to answer, with what happened where it is known, and whence they are."""
    from mlprod_nb.registry import originals

    try:
        known = TrainingReader(context)(endpoint)
        places = (
            known.target.reset_index(drop=True).sample(min(known.rows, _MOST_ROWS), random_state=0).index.sort_values()
        )
        return known.data.iloc[places], known.target.iloc[places].tolist(), f"the log of {endpoint!r}"
    except MlprodError:
        example = originals.input_example(context.registry, version)
    if example is None or len(example) < FEWEST:
        has = "no input example" if example is None else f"an input example of {len(example)} rows"
        raise Refused(
            f"{version.ref} was registered elsewhere and has no bundle: {endpoint!r} has too few labelled rows in its "
            f"log to make one with, and the model has {has} ({FEWEST} rows are needed).",
            hint=f"Register it with: mlprod register, or log it with input_example=X.head({_EXAMPLE}).",
        )
    return example, None, "its input example"
