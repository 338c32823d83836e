"""TLS certificates of a workspace's own: one authority, one server certificate, made and renewed as needed.

Keys are on the curve P-256 and in files of mode 0600. The certificates carry what strict verification asks for
(RFC 5280: key identifiers, key usage, basic constraints), so Python 3.13's defaults accept them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mlprod_nb import locks
from mlprod_nb.errors import UsageError
from mlprod_nb.private_files import read_private, write_private

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 397
_RENEW_DAYS = 30
_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class TlsFiles:
    """Where certificates and keys are, all PEM.

    Attributes:
        cert: The server's certificate.
        key: The server's private key, mode 0600.
        ca: The authority's certificate: what clients trust.
    """

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificate(folder: Path, hosts: Sequence[str], *, now: datetime) -> TlsFiles:
    """Return a server certificate for the hosts and for loopback, valid for 30 days at least.

    What is there and good is left alone, so calling it at every start costs nothing and clients keep their trust. The
    authority is replaced only when it cannot outlive a new server certificate.

    Args:
        folder: Where the files are; made where it is not there.
        hosts: Names and addresses besides localhost, 127.0.0.1 and ::1.
        now: The present moment.

    Raises:
        UsageError: A host is neither a name nor an address.
        Refused: Others can read a private key that is there.
    """
    names = _names((*LOOPBACK, *hosts))
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    authority_key = folder / "ca.key"
    with _locked(folder):
        authority = _read(files.ca, authority_key)
        if authority is None or not _lasts(authority.certificate, now, days=_SERVER_DAYS + _RENEW_DAYS):
            authority = _make_authority(now)
            _write(authority, files.ca, authority_key)
        server = _read(files.cert, files.key)
        if server is None or not _serves(server.certificate, authority.certificate, names, now):
            _write(_make_server(authority, names, now), files.cert, files.key)
    return files


def _serves(
    certificate: x509.Certificate, authority: x509.Certificate, names: list[x509.GeneralName], now: datetime
) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 (whatever is wrong with it, another one is made)
        return False
    held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names) <= set(held) and _lasts(certificate, now, days=_RENEW_DAYS)


def _lasts(certificate: x509.Certificate, now: datetime, *, days: int) -> bool:
    return certificate.not_valid_before_utc <= now and now + timedelta(days=days) <= certificate.not_valid_after_utc


def _make_authority(now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlprod_nb workspace authority")])
    builder = (
        _builder(subject, subject, key, now, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    return _Pair(builder.sign(key, hashes.SHA256()), key)


def _make_server(authority: _Pair, names: list[x509.GeneralName], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlprod_nb gateway")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    builder = (
        _builder(subject, authority.certificate.subject, key, now, _SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
    )
    return _Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now - _SKEW + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    return [_name(host) for host in dict.fromkeys(hosts)]


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        ascii_name = host.encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    if not ascii_name or not all(part.replace("-", "a").isalnum() for part in ascii_name.split(".")):
        raise UsageError(f"{host!r} is neither a host's name nor an address.")
    return x509.DNSName(ascii_name)


def _read(certificate: Path, key: Path) -> _Pair | None:
    """Return a certificate and its key, or ``None`` where they are missing, damaged or do not belong together.

    Raises:
        Refused: Others can read the key: whoever did can pose as this gateway, so it is not quietly used.
    """
    try:
        private = serialization.load_pem_private_key(read_private(key), password=None)
        public = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (OSError, ValueError):
        return None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or public.public_key() != private.public_key():
        return None
    return _Pair(public, private)


def _write(pair: _Pair, certificate: Path, key: Path) -> None:
    private = pair.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(key, private)
    write_private(certificate, pair.certificate.public_bytes(serialization.Encoding.PEM))


def _locked(folder: Path) -> AbstractContextManager[None]:
    """Let one process at a time make certificates, so that a key and a certificate always belong together."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return locks.held(folder / ".lock")
