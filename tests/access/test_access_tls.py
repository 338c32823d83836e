"""Secrets and certificates: who can read them, when they are renewed, and a real handshake."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mlprod_nb.access import secrets
from mlprod_nb.access.tls import TlsFiles, ensure_certificate
from mlprod_nb.errors import NotFound, Refused, UsageError

NOW = datetime.now(UTC).replace(microsecond=0)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def handshake(files: TlsFiles, name: str, *, authority: Path | None = None) -> str:
    """Return the protocol of one real connection over loopback."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(files.cert, files.key)
    client_context = ssl.create_default_context(cafile=str(authority or files.ca))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(10)
                try:
                    with server_context.wrap_socket(connection, server_side=True) as secured:
                        secured.recv(1)
                except (ssl.SSLError, OSError):
                    return

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), timeout=10) as raw,
                client_context.wrap_socket(raw, server_hostname=name) as secured,
            ):
                secured.sendall(b"x")
                return secured.version() or ""
        finally:
            thread.join(10)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "models.example.org"])
def test_a_strict_client_shakes_hands_by_every_name(tmp_path: Path, name: str) -> None:
    files = ensure_certificate(tmp_path / "tls", ["models.example.org"], now=NOW)
    assert handshake(files, name) == "TLSv1.3"


def test_another_name_is_refused(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "tls", [], now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files, "models.example.org")


def test_another_workspace_s_authority_is_not_trusted(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path / "one", [], now=NOW)
    other = ensure_certificate(tmp_path / "two", [], now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(files, "localhost", authority=other.ca)


def test_keys_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "tls"
    ensure_certificate(folder, [], now=NOW)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.key")} == {0o600}
    assert len(list(folder.glob("*.key"))) == 2


def test_a_server_certificate_is_valid_for_397_days(tmp_path: Path) -> None:
    found = certificate(ensure_certificate(tmp_path, [], now=NOW).cert)
    assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(days=397)


def test_a_good_certificate_is_left_alone(tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in vars(ensure_certificate(tmp_path, ["a.example"], now=NOW)).values()}
    ensure_certificate(tmp_path, [], now=NOW + timedelta(days=360))
    assert {path: path.read_bytes() for path in before} == before


def test_a_certificate_with_less_than_thirty_days_left_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, [], now=NOW)
    before, authority = files.cert.read_bytes(), files.ca.read_bytes()
    ensure_certificate(tmp_path, [], now=NOW + timedelta(days=368))
    assert files.cert.read_bytes() != before
    assert files.ca.read_bytes() == authority


def test_an_authority_that_would_end_first_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, [], now=NOW)
    before = files.ca.read_bytes()
    later = NOW + timedelta(days=3400)
    ensure_certificate(tmp_path, [], now=later)
    assert files.ca.read_bytes() != before
    certificate(files.cert).verify_directly_issued_by(certificate(files.ca))
    assert certificate(files.cert).not_valid_after_utc > later


def test_a_new_host_is_added(tmp_path: Path) -> None:
    files = ensure_certificate(tmp_path, [], now=NOW)
    ensure_certificate(tmp_path, ["models.example.org", "10.0.0.7"], now=NOW)
    assert handshake(files, "10.0.0.7") == "TLSv1.3"


@pytest.mark.parametrize("damaged", ["server.pem", "server.key", "ca.pem", "ca.key"])
@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_what_is_missing_or_damaged_is_made_anew(tmp_path: Path, damaged: str, content: bytes | None) -> None:
    files = ensure_certificate(tmp_path, [], now=NOW)
    if content is None:
        (tmp_path / damaged).unlink()
    else:
        (tmp_path / damaged).write_bytes(content)
    ensure_certificate(tmp_path, [], now=NOW)
    assert handshake(files, "localhost") == "TLSv1.3"


def test_what_is_no_host_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a host's name nor an address"):
        ensure_certificate(tmp_path, ["no host"], now=NOW)


def test_many_at_once_end_with_one_pair_that_belongs_together(tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=ensure_certificate, args=(tmp_path, [f"h{i}.example"]), kwargs={"now": NOW})
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert handshake(ensure_certificate(tmp_path, [], now=NOW), "localhost") == "TLSv1.3"


def test_a_secret_is_read_back_and_only_its_owner_can(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "local.token"
    secrets.write_secret(path, "mlp_secret")
    assert secrets.read_secret(path) == "mlp_secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_writing_a_secret_replaces_an_open_file_and_a_link_without_following_it(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("untouched")
    path = tmp_path / "local.token"
    path.symlink_to(target)
    secrets.write_secret(path, "mlp_secret")
    assert target.read_text() == "untouched"
    assert not path.is_symlink()
    path.chmod(0o644)
    secrets.write_secret(path, "mlp_other")
    assert secrets.read_secret(path) == "mlp_other"


def test_a_secret_that_others_can_read_is_refused_with_the_command_that_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "local.token"
    secrets.write_secret(path, "mlp_secret")
    path.chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        secrets.read_secret(path)


def test_a_secret_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        secrets.read_secret(tmp_path / "local.token")


@pytest.mark.parametrize("name", ["server.key", "ca.key"])
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_private_key_that_others_can_read_or_write_is_not_quietly_used(tmp_path: Path, name: str, mode: int) -> None:
    ensure_certificate(tmp_path, [], now=NOW)
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).chmod(mode)
    with pytest.raises(Refused, match=rf"{name} can be read by others.*chmod 600 .*{name}"):
        ensure_certificate(tmp_path, [], now=NOW)
    assert (tmp_path / name).read_bytes() == before
    (tmp_path / name).chmod(0o600)
    ensure_certificate(tmp_path, [], now=NOW)
    assert (tmp_path / name).read_bytes() == before
