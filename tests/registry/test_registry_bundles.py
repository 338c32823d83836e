from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlprod_nb.errors import Corrupt, NotFound
from mlprod_nb.registry.bundles import (
    FORMAT,
    MANIFEST,
    Agreement,
    BundleStore,
    Column,
    Manifest,
    Signature,
    canonical_json,
    read_bundle,
)
from tests.registry.samples import fake_bundle

COLUMNS = st.builds(
    Column,
    name=st.text(min_size=1),
    type=st.sampled_from(["double", "long", "boolean", "string"]),
    nullable=st.booleans(),
)


@given(st.lists(COLUMNS, max_size=5))
def test_a_signature_is_read_as_it_was_written(columns: list[Column]) -> None:
    signature = Signature(tuple(columns))
    assert Signature.from_json(signature.to_json()) == signature


@pytest.mark.parametrize("classes", [(False, True), (0, 1, 2), ("late", "on time"), (0.0, 1.0), ()])
def test_a_manifest_keeps_the_types_of_its_classes(classes: tuple[str | int | float | bool, ...]) -> None:
    manifest = Manifest(FORMAT, "classification", classes, "onnx", "", Agreement(3, 0, 1e-7), {"a": "b"})
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert [type(label) for label in again.classes] == [type(label) for label in classes]


def test_the_digest_is_that_of_the_manifest(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    text = (bundle.path / MANIFEST).read_bytes()
    assert bundle.digest == hashlib.sha256(text).hexdigest()
    assert text == canonical_json(json.loads(text))


def test_warm_up_rows_come_with_their_scores(tmp_path: Path) -> None:
    assert fake_bundle(tmp_path / "b").warmup() == ({"hour": [1, 2]}, [0.25, 0.5])


def _rewrite_manifest(path: Path, **changes: object) -> None:
    data = json.loads((path / MANIFEST).read_bytes())
    (path / MANIFEST).write_bytes(canonical_json(data | changes))


def _flip(name: str) -> Callable[[Path], object]:
    def change(path: Path) -> None:
        data = bytearray((path / name).read_bytes())
        data[0] ^= 1
        (path / name).write_bytes(data)

    return change


BREAKAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit in the model": (_flip("model.onnx"), "model.onnx does not match"),
    "a flipped bit in the signature": (_flip("signature.json"), "signature.json does not match"),
    "a missing profile": (lambda path: (path / "profile.json").unlink(), "profile.json is missing"),
    "a missing manifest": (lambda path: (path / MANIFEST).unlink(), "manifest.json cannot be read"),
    "a manifest that is no JSON": (lambda path: (path / MANIFEST).write_text("{"), "manifest.json cannot be read"),
    "a manifest of another shape": (lambda path: (path / MANIFEST).write_text("[]"), "manifest.json cannot be read"),
    "a planted file": (lambda path: (path / "evil.py").write_text("x"), "evil.py is not listed"),
    "a later format": (lambda path: _rewrite_manifest(path, format=99), "format 99"),
    "an unknown runtime": (lambda path: _rewrite_manifest(path, runtime="shell"), "manifest.json cannot be read"),
    "no files": (lambda path: _rewrite_manifest(path, files={}), "is not listed"),
    "a path that leads outside": (
        lambda path: _rewrite_manifest(path, files={"../secret": "0" * 64}),
        "../secret is outside the bundle",
    ),
    "a link": (lambda path: (path / "link").symlink_to("/etc/hostname"), "link is a link"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_broken_bundle_is_refused_naming_the_file(tmp_path: Path, breakage: str) -> None:
    bundle = fake_bundle(tmp_path / "b")
    change, message = BREAKAGES[breakage]
    change(bundle.path)
    with pytest.raises(Corrupt, match=message):
        read_bundle(bundle.path)


def test_a_python_bundle_must_hold_an_mlflow_model(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b", python=True)
    (bundle.path / "python_model" / "MLmodel").unlink()
    with pytest.raises(Corrupt, match="python_model/MLmodel is missing"):
        read_bundle(bundle.path)


def test_adding_a_bundle_twice_keeps_one(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    store = BundleStore(tmp_path / "store")
    first = store.add(bundle.path)
    assert store.add(bundle.path) == first == store.get(bundle.digest)
    assert [entry.name for entry in store.root.iterdir()] == [bundle.digest]


def test_a_broken_copy_in_the_store_is_replaced_by_a_sound_one(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    store = BundleStore(tmp_path / "store")
    (store.add(bundle.path).path / "model.onnx").write_bytes(b"broken")
    with pytest.raises(Corrupt):
        store.get(bundle.digest)
    assert store.add(bundle.path).digest == bundle.digest
    assert store.digests() == (bundle.digest,)


def test_a_bundle_under_another_name_is_refused(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    store = BundleStore(tmp_path / "store")
    store.root.mkdir()
    shutil.copytree(bundle.path, store.root / ("0" * 64))
    with pytest.raises(Corrupt, match="does not match the bundle's name"):
        store.get("0" * 64)


def test_an_unknown_digest_names_the_nearest(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    store = BundleStore(tmp_path / "store")
    store.add(bundle.path)
    wrong = bundle.digest[:-1] + ("0" if bundle.digest[-1] != "0" else "1")
    with pytest.raises(NotFound) as caught:
        store.get(wrong)
    assert caught.value.nearest == bundle.digest


@pytest.mark.parametrize("digest", ["", ".", "..", "../b", "/etc", "A" * 64])
def test_only_digests_are_looked_up(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotFound):
        BundleStore(tmp_path).get(digest)


def test_adding_a_broken_folder_leaves_the_store_empty(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    (bundle.path / "model.onnx").unlink()
    store = BundleStore(tmp_path / "store")
    with pytest.raises(Corrupt):
        store.add(bundle.path)
    assert not store.root.exists()


def test_many_that_add_one_bundle_at_once_all_get_it(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "b")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: BundleStore(tmp_path / "store").add(bundle.path).digest, range(24)))
    assert set(found) == {bundle.digest}
    assert os.listdir(tmp_path / "store") == [bundle.digest]  # noqa: PTH208 (hidden names too)


def test_reading_and_running_bundles_needs_no_heavy_package() -> None:
    code = (
        "import sys; import mlprod_nb.registry.bundles, mlprod_nb.registry.onnx_runner; "
        "print(sorted({'pandas', 'mlflow', 'sklearn', 'scipy', 'onnx', 'skl2onnx', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
