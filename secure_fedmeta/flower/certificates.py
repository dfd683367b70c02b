# SPDX-License-Identifier: Apache-2.0
"""Certificates and node keys for Flower's transport: an authority, the SuperLink, and each site's SuperNode.

    python -m secure_fedmeta.flower.certificates HOST SITE [SITE ...] [--into certificates]

HOST is how the sites reach the SuperLink: a name or an address. Each site gets its own folder of `certificates` and
`ca.crt`, and nobody but whoever makes certificates keeps `ca.key`. These keys protect the transport, and say who may
connect; what protects updates is in the protocol, and does not rest on them.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import FileError, UserError
from ..federation.storage import write_private

DAYS = 365
_AUTHORITY = "federation authority"


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m secure_fedmeta.flower.certificates", description=__doc__)
    parser.add_argument("host", help="how the sites reach the SuperLink")
    parser.add_argument("sites", nargs="+", metavar="SITE")
    parser.add_argument("--into", type=Path, default=Path("certificates"))
    options = parser.parse_args(arguments)
    try:
        make(options.into, options.host, options.sites)
    except UserError as error:
        parser.exit(1, f"{error}\n")
    sys.stdout.write(f"certificates of {options.host} and {len(options.sites)} sites are in {options.into}/\n")
    return 0


def make(into: Path, host: str, sites: Sequence[str]) -> None:
    """Write what is not there yet; an authority that is there signs for new sites too.

    Raises:
        FileError: the system refuses, or a file there is something else.
    """
    try:
        key, authority = _authority(into)
        _certify(into / "superlink", _names(host), key, authority)
        for site in sites:
            _certify(into / site, _names("127.0.0.1"), key, authority)
            _node_key(into / site)
    except OSError as error:
        raise FileError(f"the system refused: {error.strerror}", str(into), "choose another place") from None
    except ValueError:
        raise FileError("a file there is no key or certificate of ours", str(into), "choose another folder") from None


def _authority(into: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    kept, shown = into / "ca.key", into / "ca.crt"
    if kept.exists():
        key = serialization.load_pem_private_key(kept.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError
        return key, x509.load_pem_x509_certificate(shown.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _AUTHORITY)])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _builder(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(kept, _pem(key))
    shown.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return key, made


def _certify(
    folder: Path, names: list[x509.GeneralName], key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> None:
    if (folder / "tls.crt").exists():
        return
    own = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name[:64])])
    made = (
        _builder(name, authority.subject, own)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(folder / "tls.key", _pem(own))
    (folder / "tls.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _node_key(folder: Path) -> None:
    """A SuperNode's own pair, in the forms that Flower reads."""
    if (folder / "node.key").exists():
        return
    key = ec.generate_private_key(ec.SECP384R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    write_private(folder / "node.key", private)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    (folder / "node.pub").write_bytes(public + b"\n")


def _names(host: str) -> list[x509.GeneralName]:
    """The host itself, and this machine."""
    found: list[x509.GeneralName] = [x509.DNSName("localhost")]
    for each in dict.fromkeys((host, "127.0.0.1")):
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            found.append(x509.DNSName(each))
    return found


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


if __name__ == "__main__":
    raise SystemExit(main())
