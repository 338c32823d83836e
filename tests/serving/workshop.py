"""What the serving tests work on: small models as real bundles, a workspace on disk, a gateway in this process."""

from __future__ import annotations

import asyncio
import hashlib
import pickle
import shutil
import socket
import ssl
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import psutil
import uvicorn
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from starlette.applications import Starlette

from mlprod_nb.access import tokens
from mlprod_nb.access.tls import TlsFiles
from mlprod_nb.clock import utc_now
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import MANIFEST, PYTHON_MODEL, Bundle, BundleStore, read_bundle
from mlprod_nb.registry.conversion import build_bundle, prepare
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.serving.server import Process, create_gateway
from mlprod_nb.serving.wire.http import GatewayProtocol
from mlprod_nb.settings import Layout, load
from mlprod_nb.store import Revision, Store, revisions
from tests.serving.oddity import Oddity

ROWS = 300
INVOKE = "/endpoints/flights/invocations"
GOOD_SOURCE = """
import numpy as np

class Model:
    def predict_proba(self, frame):
        share = 1 / (1 + np.exp(-frame["distance"].to_numpy() / 1000))
        return np.column_stack([1 - share, share])

    def predict(self, frame):
        return (self.predict_proba(frame)[:, 1] > 0.5).astype(int)

model = Model()
"""
"""Source of a model that scores as :class:`Oddity` does, for :func:`with_source`."""


def training_frame(seed: int = 0) -> pd.DataFrame:
    """Return flights: a number, a text and a number that may be missing."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "distance": random.uniform(100, 3000, ROWS),
            "carrier": random.choice(["AA", "UA", "DL"], ROWS),
        }
    )


def train(seed: int, steepness: float) -> Any:
    """Return a fitted pipeline whose scores depend on ``steepness``."""
    frame = training_frame(seed)
    labels = (frame["distance"] * steepness + np.where(frame["carrier"] == "AA", 500, 0) > 1500).astype(int)
    encode = ColumnTransformer(
        [("n", StandardScaler(), ["distance"]), ("c", OneHotEncoder(handle_unknown="ignore"), ["carrier"])]
    )
    return make_pipeline(encode, LogisticRegression()).fit(frame, labels)


def train_with_gaps() -> tuple[Any, pd.DataFrame]:
    """Return a pipeline that learnt from missing numbers and texts, and its training data."""
    frame = training_frame(2)
    frame.loc[::7, "distance"] = np.nan
    frame.loc[::5, "carrier"] = np.nan
    encode = ColumnTransformer(
        [
            ("n", make_pipeline(SimpleImputer(), StandardScaler()), ["distance"]),
            ("c", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
        ]
    )
    labels = (frame["carrier"].isna() | (frame["distance"] > 1500)).astype(int)
    return make_pipeline(encode, LogisticRegression()).fit(frame, labels), frame


def make_bundles(folder: Path) -> dict[str, Bundle]:
    """Build one bundle of each kind."""
    frame = training_frame()
    numbers = frame[["distance"]]
    models: dict[str, tuple[Any, pd.DataFrame]] = {
        "champion": (train(0, 1.0), frame),
        "challenger": (train(1, 0.5), frame),
        "gaps": train_with_gaps(),
        "regression": (LinearRegression().fit(numbers, numbers["distance"] * 2), numbers),
        "python": (Oddity().fit(numbers, [0, 1] * (ROWS // 2)), numbers),
    }
    return {
        name: build_bundle(prepare(model, data), folder=folder / name, profile=b"{}")
        for name, (model, data) in models.items()
    }


@dataclass(frozen=True)
class FromSource:
    """Pickles as an object that running some source defines under the name ``model``."""

    source: str

    def __reduce__(self) -> Any:
        return eval, (f"(lambda names: (exec({self.source!r}, names), names['model'])[1])({{}})",)


def with_source(like: Bundle, root: Path, source: str) -> Bundle:
    """Return a whole bundle whose model is what some source defines, and which is otherwise like another one."""
    return read_bundle(forged(like, root, {f"{PYTHON_MODEL}/model.pkl": pickle.dumps(FromSource(source))}))


def forged(like: Bundle, root: Path, files: dict[str, bytes]) -> Path:
    """Make a bundle below a folder, like another one but for some files; no check of their sense is made."""
    folder = root / "forged"
    shutil.copytree(like.path, folder)
    for name, data in files.items():
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(data)
    digests = like.manifest.files | {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    manifest = replace(like.manifest, files=digests).to_json()
    (folder / MANIFEST).chmod(0o644)
    (folder / MANIFEST).write_bytes(manifest)
    return folder.rename(root / hashlib.sha256(manifest).hexdigest())


def make_odd_bundle(folder: Path) -> Bundle:
    """Build the bundle of an :class:`Oddity`."""
    frame = training_frame()[["distance"]]
    prepared = prepare(Oddity().fit(frame, [0, 1] * (ROWS // 2)), frame)
    return build_bundle(prepared, folder=folder, profile=b"{}")


def row(distance: float = 1200.0, carrier: str = "AA") -> dict[str, Any]:
    return {"distance": distance, "carrier": carrier}


def body(*rows: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"dataframe_records": list(rows or [row()]), **options}


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for a state, with a deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the state did not come"
        time.sleep(0.01)


def running_below(pid: int, module: str) -> list[int]:
    """Return the living processes below another one that run a module of ours."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # gone since they were listed
            if module in process.cmdline():  # a zombie has none
                found.append(process.pid)
    return found


@dataclass(frozen=True)
class Workshop:
    """A workspace on disk, without a façade."""

    root: Path
    bundles: dict[str, Bundle]

    @property
    def layout(self) -> Layout:
        return Layout(self.root)

    @contextmanager
    def store(self) -> Iterator[Store]:
        store = Store(Store.sqlite_url(self.layout.database))
        try:
            yield store
        finally:
            store.close()

    def token(self, role: str = "operator") -> str:
        with self.store() as store, store.write() as connection:
            return tokens.issue(connection, role, role, now=utc_now())

    def variant(self, name: str, *, weight: float = 1.0, version: int = 1, bundle: str = "") -> Variant:
        return Variant(name, "flights", version, bundle or self.bundles[name].digest, weight)

    def propose(self, endpoint: str, *variants: Variant, **options: Any) -> Revision:
        spec = EndpointSpec(endpoint, variants, **options) if variants else None
        with self.store() as store, store.write() as connection:
            return revisions.propose(connection, endpoint, spec, actor="test", command="", reason="", now=utc_now())

    def outcome(self, revision: Revision) -> revisions.Outcome:
        """Wait for a revision's outcome."""
        with self.store() as store:
            return self._outcome(store, revision)

    def _outcome(self, store: Store, revision: Revision) -> revisions.Outcome:
        found: list[revisions.Outcome] = []

        def decided() -> bool:
            with store.read() as connection:
                now = revisions.get(connection, revision.id)
            if now is not None and now.outcome is not None:
                found.append(now.outcome)
            return bool(found)

        until(decided, 120.0)
        return found[0]

    async def deploy(self, endpoint: str, *variants: Variant, **options: Any) -> revisions.Outcome:
        """Propose a revision and wait, off the event loop, for its outcome."""
        return await asyncio.to_thread(lambda: self.outcome(self.propose(endpoint, *variants, **options)))


def make_workshop(root: Path, bundles: dict[str, Bundle], settings: str = "") -> Workshop:
    root.mkdir(parents=True, exist_ok=True)
    (root / "mlprod.toml").write_text(settings, encoding="utf-8")
    shop = Workshop(root, bundles)
    shop.layout.state.mkdir()
    store = BundleStore(shop.layout.bundles)
    for bundle in bundles.values():
        store.add(bundle.path)
    with shop.store() as database:
        database.migrate()
    return shop


@asynccontextmanager
async def gateway(shop: Workshop, *, role: str = "operator") -> AsyncIterator[httpx.AsyncClient]:
    """Run a gateway in this process, and give a client of it."""
    app = create_gateway(Process(shop.layout, load(shop.root), uuid.uuid4().hex, utc_now), "http://gateway")
    headers = {"Authorization": f"Bearer {shop.token(role)}"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers) as client,
    ):
        await answers(client)
        yield client


@contextmanager
def on_a_socket(shop: Workshop, tls: TlsFiles | None = None) -> Iterator[tuple[str, Starlette]]:
    """Run a gateway in a thread of this process, on a port of the loopback; give its URL and its application."""
    settings = load(shop.root)
    app = create_gateway(Process(shop.layout, settings, uuid.uuid4().hex, utc_now), "http://gateway")
    protocol = GatewayProtocol.bound(app.state.lane, settings.gateway, app.state.tracing, app.state.telemetry)
    config = uvicorn.Config(app, http=protocol, loop="uvloop", ws="none", log_config=None)
    if tls is not None:
        config.ssl_certfile, config.ssl_keyfile = tls.cert, tls.key
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
    trusted = ssl.create_default_context(cafile=str(tls.ca)) if tls else True
    ready = f"{url}/health/ready"
    try:
        until(lambda: server.started and httpx.get(ready, trust_env=False, verify=trusted).status_code == 200)
        yield url, app
    finally:
        server.should_exit = True
        thread.join(30)


def logged(shop: Workshop, endpoint: str = "flights", *, shadows: bool = False) -> list[dict[str, Any]]:
    """Return the rows of an endpoint that are in the prediction log."""
    log = PredictionLog(shop.layout.log)
    rows: list[dict[str, Any]] = log.predictions(log.pin(endpoint), shadows=shadows).to_pylist()
    return rows


async def answers(client: httpx.AsyncClient, *statuses: str) -> None:
    """Wait until the gateway has started."""
    async with asyncio.timeout(60):
        while (await client.get("/health/ready")).json()["status"] not in (statuses or ("ready", "degraded")):
            await asyncio.sleep(0.01)
