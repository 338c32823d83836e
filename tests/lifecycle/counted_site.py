"""A log with an endpoint whose version has a reference: what is counted ahead of a look, for the tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from mlprod_nb.clock import utc_now
from mlprod_nb.lifecycle.watching import counting_ahead
from mlprod_nb.lifecycle.watching.counting_ahead import CountedAhead
from mlprod_nb.lifecycle.watching.window_counts import WindowCounter
from mlprod_nb.monitoring.profile import Profile, build
from mlprod_nb.registry.bundles import (
    ONNX_MODEL,
    PROFILE,
    REFERENCE,
    SIGNATURE,
    WARMUP,
    Agreement,
    BundleStore,
    Description,
    seal,
)
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.settings import FILE_NAME, Layout
from mlprod_nb.store import Store, revisions, tables
from tests.monitoring import samples
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site

COLUMNS = samples.signature(distance="double", carrier="string")


def inputs(seed: int, rows: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "distance": random.normal(900, 300, rows).tolist(),
        "carrier": random.choice(["UA", "AA", "B6"], rows).tolist(),
    }


def reference() -> Profile:
    scores = np.random.default_rng(0).random(500)
    return build(inputs(0, 500), COLUMNS, scores=scores, labels=None, task="classification", classes=(0, 1))


@dataclass(frozen=True)
class CountedSite:
    """A workspace on disk: its log, its state database and its bundles."""

    layout: Layout
    site: Site

    @property
    def bundles(self) -> BundleStore:
        return BundleStore(self.layout.bundles)

    def deploy(self, endpoint: str = "flights", version: int = 3, bundle: str = "") -> Variant:
        """Let a version of ours serve all of an endpoint, with its bundle or with one that is nowhere."""
        variant = Variant("champion", "flights", version, bundle or self._bundle(), 1.0)
        with self.site.store.write() as connection:
            spec = EndpointSpec(endpoint, (variant,))
            made = revisions.propose(connection, endpoint, spec, actor="a", command="", reason="", now=utc_now())
            revisions.decide(connection, made.id, "active", detail="", now=utc_now())
        return variant

    def compacted(self, day: int, **columns: Any) -> None:
        """Write twenty predictions of a day into a file of their own."""
        ids = [f"{columns.get('endpoint', '')}{day:02d}-{row:02d}" for row in range(20)]
        self.site.add(*ids, inputs=inputs(day, 20), at=START.replace(day=day), **columns)
        self.site.compact(least_files=99)

    def count(self, **options: Any) -> CountedAhead:
        return counting_ahead.count(self.site.log, self.site.store, self.bundles, **options)

    def counter(self, variant: Variant) -> WindowCounter:
        return WindowCounter.of(self.site.log, self.bundles.get(variant.bundle), variant.model_version)

    def stored(self) -> dict[tuple[str, str], bytes]:
        """Return what is kept, by file and key."""
        with self.site.store.read() as connection:
            return {(row.file, row.key): row.content for row in connection.execute(sa.select(tables.log_counts))}

    def forget(self) -> None:
        with self.site.store.write() as connection:
            connection.execute(sa.delete(tables.log_counts))

    def _bundle(self) -> str:
        folder = self.layout.root / "bundle"
        folder.mkdir(exist_ok=True)
        for name in (WARMUP, ONNX_MODEL):  # which nobody reads here
            (folder / name).write_bytes(b"{}")
        pq.write_table(pa.table(inputs(0, 500)), folder / REFERENCE)
        (folder / SIGNATURE).write_bytes(COLUMNS.to_json())
        (folder / PROFILE).write_bytes(reference().to_json())
        seal(folder, Description("classification", (0, 1), "onnx", "", Agreement(0, 0, 0.0)))
        return self.bundles.add(folder).digest


def open_counted_site(root: Path) -> CountedSite:
    """Open such a workspace; make it where it is not there."""
    root.mkdir(exist_ok=True)
    (root / FILE_NAME).touch()
    layout = Layout(root)
    layout.state.mkdir(exist_ok=True)
    store = Store(Store.sqlite_url(layout.database))
    store.migrate()
    return CountedSite(layout, Site(layout.log, store))
