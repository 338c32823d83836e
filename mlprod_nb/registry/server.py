"""Whether an MLflow tracking server answers; MLflow itself would ask one that is gone for four minutes."""

from __future__ import annotations

from urllib.parse import urlsplit

#: Seconds to reach a server, and for its first word.
CONNECT_SECONDS, ANSWER_SECONDS = 3.0, 6.0
#: What a proxy says of a server that is gone.
_GONE = (502, 503, 504)


def is_server(uri: str) -> bool:
    """Return whether an address is that of a tracking server, not of a database or a folder."""
    return urlsplit(uri).scheme in ("http", "https")


def silence(uri: str) -> str:
    """Return why nobody answers at a tracking server's address, in words; empty where somebody does.

    Any answer will do: who may ask, and by which certificate, MLflow says better.
    """
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
