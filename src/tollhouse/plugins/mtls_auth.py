"""mtls-auth: a caller shows a client certificate that a trusted authority has issued.

The certificate is verified against `ca_certificates`. Its alternative names, then its common name, find a
credential, else a consumer. Whether certificates have been revoked is not asked.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Literal

from tollhouse.model.checks import Custom
from tollhouse.model.entities import CaCertificate, Consumer, MtlsAuthCredential, Ref
from tollhouse.model.shorthands import only_default
from tollhouse.pdk import Exchange, Reject, setting
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.caller import Caller

if TYPE_CHECKING:
    from cryptography.x509 import BasicConstraints, Certificate, KeyUsage
    from cryptography.x509.verification import ExtensionPolicy, Store

KIND: Final = "mtls_auth_credentials"
_CERTIFICATES_KNOWN: Final = 4096
_NONE: Final = "No required TLS certificate was sent"
_FAILED: Final = "TLS certificate failed verification"

log = logging.getLogger("tollhouse.mtls_auth")


def _extra(_: Any) -> str | None:
    if find_spec("cryptography") is None:
        return "verifying certificates needs cryptography: pip install 'tollhouse[tls]'"
    return None


def _revocation(mode: str) -> str | None:
    return None if mode == "SKIP" else f"'{mode}' is not supported: revocation is not checked, only SKIP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    ca_certificates: tuple[str, ...] = setting(
        required=True, doc="Ids of the authorities (`ca_certificates`) that are trusted."
    )
    anonymous: str | None = setting(
        None, doc="Consumer (id or username) of callers without a valid certificate."
    )
    allow_partial_chain: bool = setting(False, doc="Trust an authority that another one has issued.")
    consumer_by: tuple[Literal["custom_id", "username"], ...] = setting(
        ("custom_id", "username"), doc="What of a consumer names are compared with, where no credential fits."
    )
    default_consumer: str | None = setting(
        None, doc="Consumer (id or username) of valid certificates that name nobody."
    )
    skip_consumer_lookup: bool = setting(False, doc="A valid certificate is enough, whoever it names.")
    authenticated_group_by: Literal["CN", "DN"] = setting(
        "CN", doc="Then the acl plugin sees the common name or all of the subject as the group."
    )
    cache_ttl: float = setting(60, unit="s", doc="How long a certificate is not verified again, in seconds.")
    revocation_check_mode: str = setting(
        "SKIP", validator=_revocation, doc="Whether revoked certificates are looked for."
    )

    CHECKS = (Custom(_extra),)
    SHORTHANDS = (
        only_default("cert_cache_ttl", 60000),
        only_default("http_proxy_host", None),
        only_default("http_proxy_port", None),
        only_default("http_timeout", 30000),
        only_default("https_proxy_host", None),
        only_default("https_proxy_port", None),
        only_default("san_dirname_matcher", []),
        only_default("send_ca_dn", False),
        only_default("ssl_verify", True),
    )


@dataclass(frozen=True, slots=True)
class CertificateCredential:
    """What stands for a caller without a credential of the gateway's own."""

    id: str
    identifier: str
    consumer: Ref | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """A certificate that has been verified. Instants in seconds since the epoch."""

    names: tuple[str, ...]
    common_name: str
    subject: str
    serial: str
    #: ids of the authorities that vouch for it
    authorities: frozenset[str]
    good_until: float


class MtlsAuth(Authentication[Config]):
    name = "mtls-auth"
    priority = 1600
    Config = Config

    def prepare(self) -> None:
        self._trusted: tuple[CaCertificate | None, ...] = ()
        self._authorities: tuple[tuple[str, Certificate], ...] = ()
        self._store: Store | None = None
        self._known: dict[tuple[bytes, ...], _Shown] = {}

    def recognise(self, ex: Exchange) -> Caller:
        chain = ex.client.certificates
        if not chain:
            raise Reject(401, _NONE)
        self._trust()
        shown = self._known.get(chain)
        if shown is None or shown.good_until <= self.services.wall_clock():
            shown = self._verified(chain)
            if len(self._known) >= _CERTIFICATES_KNOWN:
                self._known.clear()
            self._known[chain] = shown
        if self.conf.skip_consumer_lookup:
            group = shown.common_name if self.conf.authenticated_group_by == "CN" else shown.subject
            ex.authenticated_groups = (group,)
            return Caller(None, CertificateCredential(shown.serial, shown.subject))
        return self._caller(shown)

    # Who it is

    def _caller(self, shown: _Shown) -> Caller:
        for name in shown.names:
            caller = self.services.directory.caller(KIND, name.encode().decode("latin-1"))
            if caller is not None and _is_issued_for(caller, shown):
                return caller
        consumer = self._consumer(shown)
        if consumer is None:
            raise Reject(401, _FAILED)
        return Caller(consumer, CertificateCredential(shown.serial, shown.subject, Ref(consumer.id)))

    def _consumer(self, shown: _Shown) -> Consumer | None:
        directory, default = self.services.directory, self.conf.default_consumer
        for name in shown.names:
            for field in self.conf.consumer_by:
                found = directory.consumer_by(field, name)
                if found is not None:
                    return found
        return directory.consumer(default) if default is not None else None

    # Whether it is trusted

    def _trust(self) -> None:
        """Reads the authorities anew when the configuration has changed."""
        entities = tuple(map(self.services.directory.authority, self.conf.ca_certificates))
        if len(entities) == len(self._trusted) and all(map(_is_same, entities, self._trusted)):
            return
        from cryptography.x509 import load_pem_x509_certificate
        from cryptography.x509.verification import Store

        self._trusted = entities
        self._known.clear()
        found = []
        for id_, entity in zip(self.conf.ca_certificates, entities, strict=True):
            if entity is None:
                log.error("mtls-auth: there is no ca_certificate %s", id_)
            else:
                found.append((id_, load_pem_x509_certificate(entity.cert.encode())))
        self._authorities = tuple(found)
        self._store = Store([certificate for _, certificate in found]) if found else None

    def _verified(self, chain: tuple[bytes, ...]) -> _Shown:
        """What a chain says. Raises `Reject` if no authority vouches for it."""
        from cryptography.x509 import load_der_x509_certificate
        from cryptography.x509.verification import ExtensionPolicy, PolicyBuilder, VerificationError

        if self._store is None:
            raise Reject(401, _FAILED)
        now = self.services.wall_clock()
        instant = datetime.fromtimestamp(now, UTC).replace(tzinfo=None)
        policy = PolicyBuilder().store(self._store).time(instant)
        # What browsers ask of servers' certificates, a purpose and alternative names, is not asked here.
        policy = policy.extension_policies(
            ca_policy=_of_authorities(), ee_policy=ExtensionPolicy.permit_all()
        )
        try:
            leaf, *others = map(load_der_x509_certificate, chain)
            verified = policy.build_client_verifier().verify(leaf, others).chain
        except (VerificationError, ValueError) as problem:
            log.info("a client certificate is not trusted: %s", problem)
            raise Reject(401, _FAILED) from None
        root = verified[-1]
        if root.issuer != root.subject and not self.conf.allow_partial_chain:
            raise Reject(401, _FAILED)
        ids = frozenset(id_ for id_, certificate in self._authorities if certificate in verified)
        ends = min(certificate.not_valid_after_utc.timestamp() for certificate in verified)
        return _Shown(
            tuple(dict.fromkeys(_names(leaf))),
            next(_common_names(leaf), ""),
            leaf.subject.rfc4514_string(),
            f"{leaf.serial_number:x}",
            ids,
            min(now + self.conf.cache_ttl, ends),
        )


def _of_authorities() -> "ExtensionPolicy":
    """Private authorities seldom carry all that public ones have to; that they are authorities they must."""
    from cryptography.x509 import BasicConstraints, KeyUsage
    from cryptography.x509.verification import Criticality, ExtensionPolicy

    policy = ExtensionPolicy.permit_all()
    policy = policy.require_present(BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    return policy.may_be_present(KeyUsage, Criticality.AGNOSTIC, _may_sign)


def _is_authority(_: object, __: object, basic: "BasicConstraints") -> None:
    if not basic.ca:
        raise ValueError("issued by a certificate of no authority")


def _may_sign(_: object, __: object, usage: "KeyUsage | None") -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("issued with a key that may not sign certificates")


def _is_same(one: object, other: object) -> bool:
    return one is other


def _is_issued_for(caller: Caller, shown: _Shown) -> bool:
    credential = caller.credential
    if not isinstance(credential, MtlsAuthCredential):
        return False
    return credential.ca_certificate is None or credential.ca_certificate.id in shown.authorities


def _names(certificate: "Certificate") -> Iterator[str]:
    """What a certificate calls its holder: alternative names, then the common name."""
    from cryptography.x509 import ExtensionNotFound, SubjectAlternativeName

    try:
        alternatives = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    except ExtensionNotFound:
        alternatives = None
    for name in alternatives or ():
        if isinstance(name.value, str):
            yield name.value
    yield from _common_names(certificate)


def _common_names(certificate: "Certificate") -> Iterator[str]:
    from cryptography.x509 import NameOID

    for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME):
        yield str(attribute.value)
