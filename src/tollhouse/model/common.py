"""Settings that many entities share; each call declares a new field."""

from typing import Any, Final, Literal, TypeAlias

from tollhouse.model.constraints import Constraints
from tollhouse.model.schema import item, setting
from tollhouse.model.validators import path, tag

# fmt: off
Protocol: TypeAlias = Literal["grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"]
# fmt: on
PROTOCOLS: Final = ("grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp")
HTTP_PROTOCOLS: Final = ("grpc", "grpcs", "http", "https")
STREAM_PROTOCOLS: Final = ("tcp", "tls", "tls_passthrough", "udp")
EMPTY_SEGMENTS: Final = ("//", "must not have empty segments")
PATH: Final[Constraints] = {"starts_with": "/", "match_none": (EMPTY_SEGMENTS,), "validator": path}


def uuid_id() -> Any:
    return setting("", auto=True, uuid=True, doc="The id: a UUID, made up if it is not given.")


def created_at() -> Any:
    return setting(0, auto=True, timestamp=True, doc="When it was created, in Unix seconds.")


def updated_at() -> Any:
    return setting(0, auto=True, timestamp=True, doc="When it was last changed, in Unix seconds.")


def tags() -> Any:
    return setting(
        None,
        as_set=True,
        items=item(required=True, validator=tag),
        doc="Words to group and filter entities by.",
    )
