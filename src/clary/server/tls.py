"""A certificate authority of the home's own, and the server certificate it signs.

Clients trust the authority's certificate (`AWS_CA_BUNDLE=<folder>/ca.pem`). The authority is kept when the server certificate is
renewed, so that clients that hold its certificate go on. The private keys are readable by the owner alone.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
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


def certificate(folder: Path, hosts: Sequence[str], *, now: Callable[[], float]) -> tuple[Path, Path, Path]:
    """The paths of the authority's certificate, the server's certificate and the server's private key (PEM each).

    They are made in `folder` at the first call and again when they near their end or lack one of `hosts` (names or IP
    addresses; localhost, 127.0.0.1 and ::1 always belong). `now` gives seconds since the epoch. Raises OSError, and
    ValueError for a host that is neither a name nor an address.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca, cert, key = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    moment = datetime.fromtimestamp(now(), UTC)
    names = _names([*LOCAL_HOSTS, *hosts])
    authority = _kept_authority(folder, moment)
    if authority is None:
        authority = _make_authority(folder, moment)
    elif _still_good(cert, key, authority[0], names=names, moment=moment):
        return ca, cert, key
    _make_server(folder, authority, names=names, moment=moment)
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


def _kept_authority(folder: Path, moment: datetime) -> _Authority | None:
    try:
        ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or ca.public_key() != key.public_key():
        return None
    return None if _ends_soon(ca, moment) else (ca, key)


def _still_good(
    cert: Path, key: Path, ca: x509.Certificate, *, names: Sequence[x509.GeneralName], moment: datetime
) -> bool:
    try:
        kept = x509.load_pem_x509_certificate(cert.read_bytes())
        private = load_pem_private_key(key.read_bytes(), password=None)
        kept.verify_directly_issued_by(ca)
    except (FileNotFoundError, ValueError, TypeError):
        return False
    except Exception as fault:  # the signature's own exception is of no public class of errors
        if type(fault).__name__ == "InvalidSignature":
            return False
        raise
    held = kept.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    same_key = private.public_key() == kept.public_key()
    return same_key and set(names) <= set(held) and not _ends_soon(kept, moment)
