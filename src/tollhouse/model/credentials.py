"""Credentials: what requests show to be recognised as a consumer's, and the groups for access lists."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from tollhouse.model import x509
from tollhouse.model.checks import Conditional
from tollhouse.model.common import created_at, tags, uuid_id
from tollhouse.model.schema import Ref, setting

#: Kong's limit for a time to live, in seconds
_MAX_TTL: Final = 100_000_000
#: algorithms of tokens that are verified with a public key; Kong does not ask for one with ES*
_ASYMMETRIC: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA")
# fmt: off
Algorithm = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512", "EdDSA",
]
# fmt: on


class Credential(Protocol):
    """What every kind of credential has."""

    @property
    def id(self) -> str: ...

    @property
    def consumer(self) -> Ref | None: ...

    @property
    def identifier(self) -> str:
        """What the upstream is told in X-Credential-Identifier."""


def owner() -> Any:
    return setting(
        None, required=True, reference="consumers", on_delete="cascade", doc="The consumer it stands for."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAuthCredential:
    """An API key of a consumer."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    key: str = setting("", auto=True, unique=True, doc="The key; made up if it is not given.")
    tags: tuple[str, ...] | None = tags()
    ttl: int | None = setting(
        None, between=(0, _MAX_TTL), unit="s", hidden=True, doc="Seconds to live; 0 is for ever."
    )

    @property
    def identifier(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuthCredential:
    """A name and a password. What is kept of the password is `hashed_password`."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    username: str = setting(required=True, unique=True, doc="The name to log in with.")
    password: str = setting(required=True, encrypted=True, doc="The password; shown as a hash.")
    tags: tuple[str, ...] | None = tags()

    @property
    def identifier(self) -> str:
        return self.username


def with_unlimited_ttl(values: Mapping[str, Any]) -> dict[str, Any]:
    """A time to live of 0 is none, as Kong's documentation of key-auth says."""
    return {**values, "ttl": None} if values.get("ttl") == 0 else dict(values)


def hashed_password(password: str, consumer_id: str) -> str:
    """The form in which Kong keeps passwords: SHA-1 of the password and the consumer's id, in hex."""
    return hashlib.sha1((password + consumer_id).encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class HmacAuthCredential:
    """A name and the secret that its requests are signed with."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    username: str = setting(required=True, unique=True, doc="The name that signed requests give.")
    secret: str = setting("", auto=True, doc="The secret; made up if it is not given.")
    tags: tuple[str, ...] | None = tags()

    @property
    def identifier(self) -> str:
        return self.username


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtSecret:
    """What JSON Web Tokens with a certain issuer are verified by."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    key: str = setting("", auto=True, unique=True, doc="What tokens name; made up if it is not given.")
    secret: str = setting("", auto=True, doc="The secret of HS algorithms; made up if it is not given.")
    rsa_public_key: str | None = setting(None, doc="The public key of the other algorithms, PEM.")
    algorithm: Algorithm | None = setting("HS256", doc="How tokens are signed.")
    tags: tuple[str, ...] | None = tags()

    CHECKS = (
        Conditional(
            "algorithm",
            {"match_any": (tuple(f"^{name}$" for name in _ASYMMETRIC), "not asymmetric")},
            "rsa_public_key",
            {"required": True, "validator": x509.public_key_problem},
        ),
    )

    @property
    def identifier(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True, kw_only=True)
class MtlsAuthCredential:
    """The subject of a client certificate."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    subject_name: str = setting(required=True, doc="Common name or alternative name of the certificate.")
    ca_certificate: Ref | None = setting(
        None, reference="ca_certificates", on_delete="cascade", doc="Only if this authority has issued it."
    )
    tags: tuple[str, ...] | None = tags()

    @property
    def identifier(self) -> str:
        return self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Acl:
    """A consumer's membership in a group that the acl plugin allows or denies."""

    id: str = uuid_id()
    created_at: int = created_at()
    consumer: Ref | None = owner()
    group: str = setting(required=True, doc="The group's name.")
    tags: tuple[str, ...] | None = tags()


def with_hashed_password(values: Mapping[str, Any]) -> dict[str, Any]:
    """A basic-auth credential as it is kept."""
    return {**values, "password": hashed_password(values["password"], values["consumer"]["id"])}
