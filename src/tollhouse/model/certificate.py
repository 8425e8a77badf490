"""Certificates, the names they are shown for, and the authorities that are trusted."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tollhouse.model import x509
from tollhouse.model.checks import CustomEntity, MutuallyRequired
from tollhouse.model.common import created_at, tags, updated_at, uuid_id
from tollhouse.model.schema import Ref, setting
from tollhouse.model.validators import wildcard_host


def _matches(certificate: str, key: str) -> CustomEntity:
    return CustomEntity((certificate, key), lambda values: x509.pair_problem(values, certificate, key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate with its key, and perhaps another of the other type (RSA, ECDSA)."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    cert: str = setting(
        required=True, referenceable=True, validator=x509.certificate_problem, doc="Certificate chain, PEM."
    )
    key: str = setting(
        required=True,
        referenceable=True,
        encrypted=True,
        validator=x509.private_key_problem,
        doc="Its private key, PEM.",
    )
    cert_alt: str | None = setting(
        None, referenceable=True, validator=x509.certificate_problem, doc="A chain of the other type."
    )
    key_alt: str | None = setting(
        None,
        referenceable=True,
        encrypted=True,
        validator=x509.private_key_problem,
        doc="The private key of `cert_alt`.",
    )
    tags: tuple[str, ...] | None = tags()

    CHECKS = (
        MutuallyRequired("cert_alt", "key_alt"),
        _matches("cert", "key"),
        _matches("cert_alt", "key_alt"),
        CustomEntity(("cert", "cert_alt"), x509.alternative_problem),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sni:
    """A name for which a certificate is shown; it may begin or end with a wildcard."""

    id: str = uuid_id()
    name: str = setting(
        required=True, unique=True, unique_across_ws=True, validator=wildcard_host, doc="The host name."
    )
    created_at: int = created_at()
    updated_at: int = updated_at()
    tags: tuple[str, ...] | None = tags()
    certificate: Ref = setting(required=True, reference="certificates", doc="What is shown for it.")


def _authority_problem(values: Mapping[str, Any]) -> str | None:
    return x509.authority_problem(values["cert"], datetime.now(UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class CaCertificate:
    """A certificate authority to trust."""

    id: str = uuid_id()
    created_at: int = created_at()
    updated_at: int = updated_at()
    cert: str = setting(required=True, validator=x509.certificate_problem, doc="Its certificate, PEM.")
    cert_digest: str | None = setting(None, unique=True, doc="SHA-256 of the certificate; computed.")
    tags: tuple[str, ...] | None = tags()

    CHECKS = (CustomEntity(("cert",), _authority_problem),)


def with_digest(values: Mapping[str, Any]) -> dict[str, Any]:
    """An authority's entity as it is kept."""
    return {**values, "cert_digest": x509.certificate_digest(values["cert"])}
