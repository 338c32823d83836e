"""HTTPS without a set-up: a certificate authority of the workspace's own, and a server certificate by it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mlprod_nb.access.secrets import write_private

# The longest that clients accept for a server certificate is 398 days.
_SERVER_DAYS = 397
_AUTHORITY_DAYS = 3650
_RENEW_DAYS = 30


@dataclass(frozen=True)
class TlsFiles:
    """Where the certificates are.

    Attributes:
        cert: The server's certificate, PEM.
        key: Its key, mode 0600.
        ca: The authority's certificate: what clients are told to trust.
    """

    cert: Path
    key: Path
    ca: Path


def ensure_certificate(folder: Path, hosts: Sequence[str], *, now: datetime) -> TlsFiles:
    """Return certificates that are valid for some time yet, making what is missing or about to end.

    Args:
        folder: Where they are kept.
        hosts: The names and addresses that the server answers by.
        now: The present moment.
    """
    files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "ca.pem")
    if not _serves(files, hosts, now):
        authority, authority_key = _authority(files.ca, folder / "ca.key", now)
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(files.key, _key_bytes(key))
        certificate = _server_certificate(authority, authority_key, key, hosts, now)
        write_private(files.cert, certificate.public_bytes(serialization.Encoding.PEM))
    return files


def _serves(files: TlsFiles, hosts: Sequence[str], now: datetime) -> bool:
    if not (files.cert.is_file() and files.key.is_file() and files.ca.is_file()):
        return False
    certificate = x509.load_pem_x509_certificate(files.cert.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    wanted = {_name(host) for host in hosts}
    return set(names) >= wanted and certificate.not_valid_after_utc - now > timedelta(days=_RENEW_DAYS)


def _authority(path: Path, key_path: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if path.is_file() and key_path.is_file():
        known = x509.load_pem_x509_certificate(path.read_bytes())
        loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
        if known.not_valid_after_utc - now > timedelta(days=_SERVER_DAYS) and isinstance(
            loaded, ec.EllipticCurvePrivateKey
        ):
            return known, loaded
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlprod workspace authority")])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), now, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(key_path, _key_bytes(key))
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _server_certificate(
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    hosts: Sequence[str],
    now: datetime,
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mlprod gateway")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    return (
        _builder(name, authority.subject, key.public_key(), now, _SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_key, critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    # An hour back, for clients whose clock is a little behind.
    start = now - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
