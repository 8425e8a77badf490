"""Certificates made for one test run."""

import datetime
import ipaddress
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Issued:
    """Files of a certificate and its key."""

    certificate: Path
    key: Path

    def entity(self, id_: str) -> str:
        """It as an entry of `certificates` in a declarative file."""
        return f"{{id: {id_}, cert: {_quoted(self.certificate)}, key: {_quoted(self.key)}}}"

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def _quoted(file: Path) -> str:
    return json.dumps(file.read_text())


class Authority:
    """An authority that issues certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        basic = x509.BasicConstraints(ca=True, path_length=0)
        built = self._builder(self._name, self._key).add_extension(basic, critical=True)
        self._certificate = built.sign(self._key, hashes.SHA256())
        self.file = folder / "authority.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def client_context(self) -> ssl.SSLContext:
        """A client that trusts nobody else."""
        return ssl.create_default_context(cafile=self.file)

    @property
    def pem(self) -> str:
        return self.file.read_text()

    def issue(self, *names: str, with_rsa: bool = False) -> Issued:
        """A certificate for names and addresses."""
        key: _Key = (
            rsa.generate_private_key(65537, 2048) if with_rsa else ec.generate_private_key(ec.SECP256R1())
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        certificate = (self._builder(subject, key).add_extension(alternatives, critical=False)).sign(
            self._key, hashes.SHA256()
        )
        file = f"{names[0]}-rsa" if with_rsa else names[0]
        issued = Issued(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return issued

    def _builder(self, subject: x509.Name, key: _Key) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=12))
        )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
