"""The registry: models, versions and aliases, kept by MLflow.

A version is registered whole or not at all. Nothing is cached, so two processes that look see the same; and MLflow's
global state (active run, tracking and registry addresses) is neither used nor changed.
"""

from __future__ import annotations

import contextlib
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import Corrupt, NotFound, Refused, UsageError
from mlprod_nb.registry import server, unfinished
from mlprod_nb.registry.bundles import Bundle, BundleStore
from mlprod_nb.registry.lineage import Lineage
from mlprod_nb.registry.quiet import answering, one_line, quiet
from mlprod_nb.registry.versions import BUNDLE_ARTIFACT, LINEAGE_ARTIFACT, Candidate, ModelVersion, read_version
from mlprod_nb.scratch import temporary_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_MLFLOW_OWN = Path("mlflow.db")
"""Where MLflow keeps runs and versions unless it is told otherwise, in the directory in which it runs."""
_REFERENCE = re.compile(r"(?P<model>[^/@]+)(?:/(?P<version>[0-9]+)|@(?P<alias>[^/@]+))?")


def check_name(name: str, kind: str = "model") -> None:
    """Refuse a name that would not survive URLs, files and command lines.

    Raises:
        UsageError: The name will not do.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name {'an' if kind[:1] in 'aeiou' else 'a'} {kind}.",
            hint="A name begins with a letter and has at most 64 letters, digits, hyphens and underscores.",
        )


def check_alias(alias: str) -> None:
    """Refuse an alias that would not survive, or that MLflow keeps for itself.

    Raises:
        UsageError: The alias will not do.
    """
    check_name(alias, "alias")
    if alias.lower() == "latest" or re.fullmatch(r"[vV][0-9]+", alias):
        raise UsageError(f"{alias!r} cannot name an alias.", hint="MLflow keeps 'latest' and v1, v2, … for itself.")


def no_bundle(version: ModelVersion) -> Refused:
    """Return the error about a version that cannot do without the bundle that it lacks."""
    hint = f"A check makes one: mlprod check {version.ref}"
    return Refused(f"{version.ref} has no bundle, since it was registered elsewhere.", hint=hint)


class Registry:
    """The models of one workspace.

    Args:
        tracking_uri: Where MLflow keeps runs and versions.
        artifacts: Where new experiments keep artifacts, unless a tracking server decides that.
        read_only: Why nothing may be changed; empty where it may.
    """

    def __init__(self, tracking_uri: str, artifacts: Path, *, read_only: str = "") -> None:
        self.tracking_uri = tracking_uri
        self.artifacts = artifacts
        self.read_only = read_only

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's client for this registry; a server is asked first whether it is there.

        Raises:
            UsageError: The address is none.
            Unavailable: The server does not answer, or the database's directory cannot be made.
        """
        server.check(self.tracking_uri)
        with quiet():
            from mlflow import MlflowClient

            return MlflowClient(tracking_uri=self.tracking_uri, registry_uri=self.tracking_uri)

    def begun(self) -> bool:
        """Return whether anything can be registered yet: MLflow would make a database that is not there."""
        file = self.tracking_uri.removeprefix("sqlite:///")
        return file == self.tracking_uri or Path(file).is_file()

    def reachable(self) -> bool:
        """Return whether there is a registry that answers."""
        return self.begun() and not server.silence(self.tracking_uri)

    def register(self, candidate: Candidate) -> ModelVersion:
        """Make a model's next version, with run, artifacts and MLflow model; on any failure nothing is left.

        Raises:
            UsageError: The name will not do.
            Refused: The model cannot be saved.
            Unavailable: MLflow does not answer.
        """
        from mlprod_nb.registry import recording

        self.change()
        check_name(candidate.name)
        with self._mlflow():
            number = recording.record(self.client, candidate, self.artifacts)
        return self.resolve(f"{candidate.name}/{number}")

    def change(self) -> None:
        """Say that something is about to change.

        Raises:
            Refused: Nothing may.
        """
        if self.read_only:
            raise Refused(self.read_only)

    def resolve(self, reference: str) -> ModelVersion:
        """Return the version that ``flights/3``, ``flights@champion`` or ``flights`` (the newest) names.

        Raises:
            UsageError: The text names no version.
            NotFound: The model, the version or the alias does not exist.
        """
        parts = _REFERENCE.fullmatch(reference)
        if parts is None:
            raise UsageError(
                f"{reference!r} names no model version.",
                hint="Write MODEL/VERSION, MODEL@ALIAS or MODEL, like flights/3 or flights@champion.",
            )
        model, alias = parts["model"], parts["alias"]
        versions = self.versions(model)
        if parts["version"]:
            wanted = int(parts["version"])
        elif alias:
            known = self.aliases(model)
            if alias not in known:
                names = [f"{model}@{name}" for name in known]
                raise NotFound("alias", reference, names, hint="" if names else f"{model!r} has none.")
            wanted = known[alias]
        elif versions:
            return versions[0]
        else:
            raise NotFound("version of", model, hint="Register one first.")
        found = next((version for version in versions if version.version == wanted), None)
        if found is None:
            raise NotFound("version", f"{model}/{wanted}", [version.ref for version in versions])
        return found

    def models(self) -> tuple[str, ...]:
        """Return the registered models' names, sorted."""
        with self._mlflow():
            names: list[str] = []
            token: str | None = ""
            while token is not None:
                page = self.client.search_registered_models(max_results=1000, page_token=token or None)
                names += [model.name for model in page if not unfinished.is_left(self.client, model)]
                token = page.token or None
        return tuple(sorted(names))

    def versions(self, model: str) -> tuple[ModelVersion, ...]:
        """Return a model's versions, newest first.

        Raises:
            NotFound: The model does not exist.
        """
        aliases = self.aliases(model)
        with self._mlflow():
            found: list[Any] = []
            token: str | None = None
            while True:
                page = self.client.search_model_versions(f"name = '{model}'", page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        made = [read_version(entity, aliases) for entity in found]
        return tuple(sorted(made, key=lambda version: version.version, reverse=True))

    def aliases(self, model: str) -> dict[str, int]:
        """Return a model's aliases and the version that each points to.

        Raises:
            NotFound: The model does not exist.
        """
        if _NAME.fullmatch(model):
            with self._mlflow():
                entity = self._find(model)
                if entity is not None:
                    return {alias: int(version) for alias, version in sorted(entity.aliases.items())}
        known = self.models()
        raise NotFound("model", model, known, hint="" if known else "Register one first.", besides=self._beside())

    def _beside(self) -> str:
        """Say how plain MLflow writes here where it has written into its own file in the current directory."""
        if not self.tracking_uri.startswith("sqlite:///") or not _MLFLOW_OWN.is_file():
            return ""
        line = f'mlflow.set_tracking_uri("{self.tracking_uri}")'
        return f"Plain MLflow has written into {_MLFLOW_OWN} here; to write into this registry: {line}"

    def set_alias(self, model: str, alias: str, version: int) -> None:
        """Point an alias to a version, whatever it pointed to before.

        Raises:
            UsageError: The alias's name will not do.
            NotFound: The model or the version does not exist.
        """
        self.change()
        check_alias(alias)
        self.resolve(f"{model}/{version}")
        with self._mlflow():
            self.client.set_registered_model_alias(model, alias, str(version))

    def delete_alias(self, model: str, alias: str) -> None:
        """Take an alias away.

        Raises:
            NotFound: The model or the alias does not exist.
        """
        self.change()
        self.resolve(f"{model}@{alias}")
        with self._mlflow():
            self.client.delete_registered_model_alias(model, alias)

    def fetch_bundle(self, version: ModelVersion, store: BundleStore) -> Bundle:
        """Return a version's bundle, brought into the store where it is not there yet.

        Raises:
            Refused: The version has no bundle, since it was registered elsewhere.
            Corrupt: The registry's copy is missing, or is not the bundle that was registered.
        """
        if not version.bundle:
            raise no_bundle(version)
        with contextlib.suppress(NotFound, Corrupt):
            return store.get(version.bundle)
        with temporary_folder("work") as scratch:
            bundle = store.add(self._download(version, BUNDLE_ARTIFACT, scratch))
        if bundle.digest != version.bundle:
            raise Corrupt(
                f"the bundle of {version.ref} in the registry is {bundle.digest[:12]}, not {version.bundle[:12]}.",
                hint="Register the model anew.",
            )
        return bundle

    def lineage(self, version: ModelVersion) -> Lineage:
        """Return where a version comes from.

        Raises:
            Corrupt: The registry's record is missing or cannot be read.
        """
        with temporary_folder("work") as scratch:
            text = self._download(version, LINEAGE_ARTIFACT, scratch).read_bytes()
        try:
            return Lineage.from_json(text)
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(f"the lineage of {version.ref} cannot be read: {error}.") from None

    def load(self, version: ModelVersion) -> Any:
        """Return a version's model itself; this runs code from it.

        Raises:
            Corrupt: It cannot be fetched or loaded.
        """
        from mlprod_nb.registry import originals

        return originals.load(self, version)

    def _download(self, version: ModelVersion, artifact: str, folder: Path) -> Path:
        with self._mlflow():
            from mlflow.exceptions import MlflowException

            try:
                path = Path(self.client.download_artifacts(version.run_id, artifact, str(folder)))
            except (MlflowException, OSError) as error:
                raise Corrupt(
                    f"{artifact} of {version.ref} cannot be fetched from the registry: {one_line(error)}"
                ) from None
        if not path.exists():
            raise Corrupt(f"{artifact} of {version.ref} is missing from the registry.")
        return path

    def _find(self, model: str) -> Any:
        """Return MLflow's entity, or ``None`` where there is no such model."""
        from mlflow.exceptions import MlflowException

        try:
            found = self.client.get_registered_model(model)
            return None if unfinished.is_left(self.client, found) else found
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    _mlflow = staticmethod(answering)
