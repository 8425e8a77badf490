"""Keys that plugins sign or verify with, and sets of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tollhouse.model import x509
from tollhouse.model.checks import AtLeastOneOf, Custom, CustomEntity, MutuallyExclusive
from tollhouse.model.common import created_at, tags, updated_at, uuid_id
from tollhouse.model.constraints import is_reference
from tollhouse.model.schema import Ref, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """Keys that go together."""

    id: str = uuid_id()
    name: str | None = setting(None, unique=True, doc="A unique name.")
    tags: tuple[str, ...] | None = tags()
    created_at: int = created_at()
    updated_at: int = updated_at()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pem:
    """A key pair, or half of one, in PEM."""

    private_key: str | None = setting(None, referenceable=True, encrypted=True, doc="The private key.")
    public_key: str | None = setting(None, referenceable=True, doc="The public key.")

    CHECKS = (AtLeastOneOf("private_key", "public_key"), Custom(x509.pem_problem))


def _jwk_problem(values: Mapping[str, Any]) -> str | None:
    jwk = values["jwk"]
    return None if jwk is None or is_reference(jwk) else x509.jwk_problem(jwk, values["kid"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as JWK or PEM; its `kid` is unique in its set."""

    id: str = uuid_id()
    set: Ref | None = setting(None, reference="key_sets", on_delete="cascade", doc="The set it belongs to.")
    name: str | None = setting(None, unique=True, doc="A unique name.")
    kid: str = setting(required=True, doc="What the key is called where it is used.")
    jwk: str | None = setting(None, referenceable=True, encrypted=True, doc="The key as JSON text.")
    pem: Pem | None = setting(None, doc="The key as PEM.")
    tags: tuple[str, ...] | None = tags()
    created_at: int = created_at()
    updated_at: int = updated_at()

    CHECKS = (
        MutuallyExclusive("pem", "jwk"),
        AtLeastOneOf("pem", "jwk"),
        CustomEntity(("jwk", "kid"), _jwk_problem),
    )
