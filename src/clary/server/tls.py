"""A certificate authority of the home's own, and the server certificate it signs.

Clients trust the authority's certificate (`AWS_CA_BUNDLE=<folder>/ca.pem`). The authority is kept when the server's
certificate is renewed, so that clients that hold it go on. The private keys are readable by the owner alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS = 3650
SERVER_DAYS = 397
RENEW_DAYS = 30  # before the end
ANYWHERE = ("0.0.0.0", "::", "")  # addresses to listen on that are nobody's name

_Authority = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def certificate(folder: Path, hosts: Sequence[str], *, now: datetime) -> tuple[Path, Path, Path]:
    """The paths of the authority's certificate, the server's certificate and the server's private key (PEM each).

    They are made in `folder` at the first call and again when they near their end or lack one of `hosts` (names or IP
    addresses; localhost, 127.0.0.1 and ::1 always belong). `now` must know its zone. Raises OSError, and
    ValueError for a host that is neither a name nor an address.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    names = _names([*LOCAL_HOSTS, *hosts])
    authority = _kept_authority(folder, now)
    if authority is None:
        authority = _make_authority(folder, now)
    elif _still_good(cert, key, authority[0], names=names, now=now):
        return ca, cert, key
    _make_server(folder, authority, names=names, now=now)
    return ca, cert, key


def _names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        if host in ANYWHERE:
            continue
        try:
            names.append(x509.IPAddress(ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host.encode("idna").decode("ascii").lower()))
    return names


def _kept_authority(folder: Path, now: datetime) -> _Authority | None:
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or ca.public_key() != key.public_key():
        return None
    return None if _ends_soon(ca, now) else (ca, key)


def _still_good(
    cert: Path, key: Path, ca: x509.Certificate, *, names: Sequence[x509.GeneralName], now: datetime
) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(cert.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
        kept.verify_directly_issued_by(ca)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return False
    held = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    same_key = private.public_key() == kept.public_key()
    return same_key and set(names) <= set(held) and not _ends_soon(kept, now)


def _make_authority(folder: Path, now: datetime) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Clary {secrets.token_hex(4)}")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    ca = (
        _builder(name, name, key.public_key(), now=now, days=AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(folder / "ca-key.pem", _pem(key), mode=0o600)
    _write(folder / "ca.pem", ca.public_bytes(Encoding.PEM), mode=0o644)
    return ca, key


def _make_server(
    folder: Path, authority: _Authority, *, names: Sequence[x509.GeneralName], now: datetime
) -> None:
    ca, ca_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Clary server")])
    issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    own_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    cert = (
        _builder(subject, ca.subject, key.public_key(), now=now, days=SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(issuer_key, critical=False)
        .add_extension(own_key, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    # a crash between the two leaves a pair that does not match, which is made anew at the next start
    _write(folder / "key.pem", _pem(key), mode=0o600)
    _write(folder / "cert.pem", cert.public_bytes(Encoding.PEM), mode=0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days))
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


def _ends_soon(cert: x509.Certificate, now: datetime) -> bool:
    return now + timedelta(days=RENEW_DAYS) > cert.not_valid_after_utc


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, data: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by more than `mode` says."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
