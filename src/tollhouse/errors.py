"""Every way an exchange can end without the upstream's own answer.

Few types, raised where the fact is known and turned into an answer in one place (`flow.run`):

- `Reject`: a decision of the gateway or of a plugin; the client sees its status and message.
- `UpstreamFault`: the target could not answer; its `Cause` decides the status.
- `TryAnother`: not an end yet, for a plugin knows another target.
- `PeerError`: the other end broke the protocol (`BadRequest` towards a client).
- `ConfigErrors`: everything that is wrong with a configuration, all at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class Cause(StrEnum):
    """Why a target gave no usable answer; the same word stands in logs and metrics."""

    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    NAME_NOT_FOUND = "name_not_found"
    NAME_FAILED = "name_failed"
    NO_TARGET = "no_target"
    SEND_TIMEOUT = "send_timeout"
    READ_TIMEOUT = "read_timeout"
    RESET = "reset"
    BAD_RESPONSE = "bad_response"
    TRUNCATED = "truncated"
    NOT_READY = "not_ready"


STATUS: Final[Mapping[Cause, int]] = MappingProxyType(
    {
        Cause.CONNECT_REFUSED: 502,
        Cause.CONNECT_TIMEOUT: 504,
        Cause.TLS_FAILED: 502,
        Cause.NAME_NOT_FOUND: 503,
        Cause.NAME_FAILED: 500,
        Cause.NO_TARGET: 503,
        Cause.SEND_TIMEOUT: 504,
        Cause.READ_TIMEOUT: 504,
        Cause.RESET: 502,
        Cause.BAD_RESPONSE: 502,
        Cause.TRUNCATED: 502,
        Cause.NOT_READY: 503,
    }
)


class Reject(Exception):
    """An answer that the gateway gives instead of the upstream's.

    With `message` the body is Kong's error template, negotiated by `Accept`. With `body` it is
    exactly that: a mapping or sequence is sent as JSON, a string or bytes as they are, `None` is an
    empty body. `headers` are set on the answer; `fields` are added to it, names that are repeated as well.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        fields: Sequence[tuple[str, str]] | None = None,
        exact: bool = False,
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.body = body
        self.headers = headers
        self.fields = fields
        self.exact = exact or body is not None


class UpstreamFault(Exception):
    """A target failed. `sent` tells the retrier whether the target may have acted on the request."""

    def __init__(self, cause: Cause, detail: str, *, sent: bool = False) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause
        self.detail = detail
        self.sent = sent

    @property
    def status(self) -> int:
        return STATUS[self.cause]


class TryAnother(Exception):
    """An answer that is not for the client: a plugin knows another target to ask (`pdk.Failover`)."""


class ClientGone(Exception):
    """The client closed its connection before it had the whole answer."""


class PeerError(Exception):
    """The other end broke the protocol; the connection cannot be used any longer."""


class BadRequest(PeerError):
    """A client's bytes are not a request this gateway may act on. `status` is what it is told."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing that is wrong: where it stands and what was expected.

    `path` is the dotted field path, e.g. `services[0].routes[1].paths`; `line` is 1-based.
    """

    path: str
    message: str
    line: int | None = None
    file: str | None = None

    def __str__(self) -> str:
        place = f"{self.file or 'configuration'}:{self.line}: " if self.line else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ConfigErrors(Exception):
    """A configuration was refused whole. `fields` is Kong's nested field → message map."""

    def __init__(self, errors: Sequence[ConfigError], fields: Mapping[str, Any] | None = None) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors = tuple(errors)
        self.fields = dict(fields or {})
