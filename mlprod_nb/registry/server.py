"""Whether MLflow's registry can be there; MLflow itself would ask a server that is gone for four minutes."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from mlprod_nb.errors import Unavailable, UsageError

#: Seconds to reach a server, and for its first word.
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 6.0
#: What a proxy says of a server that is gone.
_GONE = (502, 503, 504)
#: MLflow's addresses that are a word alone.
_WORDS = ("databricks", "databricks-uc", "uc")
#: What its other addresses begin with, and where its plug-ins name theirs.
_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "file", *_WORDS)
_PLUGINS = "mlflow.model_registry_store"
_KEY = "[registry] tracking_uri in mlprod.toml"
_WRITE = 'Write it as "http://HOST:PORT" or "postgresql://USER@HOST/NAME", or "" for SQLite in .mlprod.'


def check(uri: str) -> None:
    """Refuse an address at which there can be no registry; make the directory of a SQLite file.

    Raises:
        UsageError: It is no address.
        Unavailable: The server does not answer, or the directory cannot be made.
    """
    scheme = urlsplit(uri).scheme
    if not scheme and uri not in _WORDS:
        raise UsageError(f"{_KEY} is {uri!r}, which is no address.", hint=_WRITE)
    if scheme and scheme.partition("+")[0] not in _SCHEMES and not entry_points(group=_PLUGINS, name=scheme):
        raise UsageError(f"{_KEY} begins with {scheme!r}, and MLflow knows no such registry.", hint=_WRITE)
    if uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"the MLflow registry cannot be kept in {folder}: {error.strerror}.", hint=f"Check {_KEY}."
            ) from None
    silent = silence(uri)
    if silent:
        raise Unavailable(f"the MLflow registry at {shown(uri)} {silent}.", hint=f"Start it, or correct {_KEY}.")


def silence(uri: str) -> str:
    """Return why nobody answers at a tracking server's address, in words; empty where somebody does.

    Empty also where the address is that of a database or a folder. Any answer will do: who may ask, and by which
    certificate, MLflow says better.
    """
    if urlsplit(uri).scheme not in ("http", "https"):
        return ""
    import requests

    try:
        found = requests.get(
            f"{uri.rstrip('/')}/health",
            timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
            allow_redirects=False,
            stream=True,
        )
        with found:
            return f"answers with status {found.status_code}" if found.status_code in _GONE else ""
    except requests.exceptions.SSLError:
        return ""
    except requests.exceptions.ReadTimeout:
        return f"is silent for {ANSWER_SECONDS:g} s"
    except requests.exceptions.ConnectionError:
        return "cannot be reached"
    except (requests.exceptions.RequestException, ValueError):
        return "is no address that can be asked"


def shown(uri: str) -> str:
    """Return a server's address without what may be secret in it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
