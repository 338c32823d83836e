"""Whether MLflow's registry can be there; MLflow itself would ask a server that is gone for four minutes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from mlprod_nb.errors import Unavailable, UsageError

#: Seconds to reach a server, and for its first word.
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 6.0
#: What a proxy says of a server that is gone.
_GONE = (502, 503, 504)
#: MLflow's addresses that are a word alone.
_WORDS = ("databricks", "databricks-uc", "uc")
_KEY = "[registry] tracking_uri in mlprod.toml"


def check(uri: str) -> None:
    """Refuse an address at which there can be no registry; make the directory of a SQLite file.

    Raises:
        UsageError: It is no address.
        Unavailable: The server does not answer, or the directory cannot be made.
    """
    if not urlsplit(uri).scheme and uri not in _WORDS:
        raise UsageError(
            f"{_KEY} is {uri!r}, which is no address.",
            hint='Write it as "http://HOST:PORT" or "postgresql://USER@HOST/NAME", or "" for SQLite in .mlprod.',
        )
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
