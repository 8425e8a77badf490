"""hmac-auth: a caller signs parts of the request with a secret that it shares with the gateway.

Signatures are those of draft-cavage-http-signatures-00, with Kong's `hmac` as the scheme: each named header
makes a line `name: value`, `request-line` the request line, `@request-target` method and target. A date
within `clock_skew` is asked for whether it is signed or not.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, Literal

from tollhouse.model.entities import HmacAuthCredential
from tollhouse.pdk import Exchange, Reject, Request, setting
from tollhouse.pdk.authentication import Authentication
from tollhouse.pdk.caller import Caller
from tollhouse.wire.base64 import decoded

KIND: Final = "hmacauth_credentials"
#: bodies above this are not held for their digest, in bytes
BODY_LIMIT: Final = 16 * 1024 * 1024
Algorithm = Literal["hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512"]
_ALGORITHMS: Final = ("hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512")
_SIGNATURE: Final = re.compile(
    r'[Hh]mac\s*username="(?P<username>[^"]+)",\s*algorithm="(?P<algorithm>[^"]+)",'
    r'\s*headers="(?P<headers>[^"]+)",\s*signature="(?P<signature>[^"]+)"'
)
_NOT_VALID: Final = "HMAC signature cannot be verified"
_NO_DATE: Final = f"{_NOT_VALID}, a valid date or x-date header is required for HMAC Authentication"
_NOT_SAME: Final = "HMAC signature does not match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    hide_credentials: bool = setting(False, required=True, doc="Keep the signature from the upstream.")
    clock_skew: float = setting(
        300, gt=0, unit="s", doc="How far the date may be from the gateway's clock, in seconds."
    )
    anonymous: str | None = setting(
        None, doc="Consumer (id or username) of callers without a valid signature."
    )
    validate_request_body: bool = setting(
        False, required=True, doc="Compare the body, of up to 16 MiB, with the Digest header."
    )
    enforce_headers: tuple[str, ...] = setting((), doc="Headers that have to be signed.")
    algorithms: tuple[Algorithm, ...] = setting(_ALGORITHMS, doc="Algorithms that are accepted.")
    realm: str | None = setting(None, required=False, doc="Realm in WWW-Authenticate.")


class HmacAuth(Authentication[Config]):
    name = "hmac-auth"
    priority = 1030
    Config = Config

    def prepare(self) -> None:
        conf = self.conf
        self._challenge = {"WWW-Authenticate": f'hmac realm="{conf.realm}"' if conf.realm else "hmac"}
        self._enforced = frozenset(conf.enforce_headers)
        self.request_body_limit = BODY_LIMIT if conf.validate_request_body else None

    def recognise(self, ex: Exchange) -> Caller:
        values = ex.request.headers.values
        if "authorization" not in values and "proxy-authorization" not in values:
            raise self._refusal("Unauthorized")
        if not (self._is_now(values.get("x-date")) or self._is_now(values.get("date"))):
            raise self._refusal(_NO_DATE)
        given = self._given(ex)
        names = given["headers"].split(" ") if given else []
        if (
            given is None
            or given["algorithm"] not in self.conf.algorithms
            or self._enforced.difference(names)
        ):
            raise self._refusal(_NOT_VALID)
        caller = self.services.directory.caller(KIND, given["username"])
        if caller is None or not isinstance(caller.credential, HmacAuthCredential):
            raise self._refusal(_NOT_VALID)
        made = hmac.digest(
            caller.credential.secret.encode(),
            signing_string(ex.request, names).encode("latin-1"),
            given["algorithm"].removeprefix("hmac-"),
        )
        if not hmac.compare_digest(made, decoded(given["signature"]) or b""):
            raise self._refusal(_NOT_SAME)
        if self.conf.validate_request_body and not self._has_its_digest(ex.request):
            raise self._refusal(_NOT_SAME)
        return caller

    def _is_now(self, date: str | None) -> bool:
        instant = _instant(date) if date else None
        return instant is not None and abs(self.services.wall_clock() - instant) <= self.conf.clock_skew

    def _given(self, ex: Exchange) -> dict[str, Any] | None:
        """What the first header that holds a signature says."""
        for name in ("proxy-authorization", "authorization"):
            found = _SIGNATURE.search(ex.request.headers.values.get(name, ""))
            if found is not None:
                if self.conf.hide_credentials:
                    ex.request.headers.remove(name)
                return found.groupdict()
        return None

    def _has_its_digest(self, request: Request) -> bool:
        digest = request.headers.values.get("digest")
        if request.content is None:
            return False
        if digest is None:
            return not request.content  # without a body there is nothing to forge
        made = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
        return hmac.compare_digest(f"SHA-256={made}".encode(), digest.encode("latin-1"))

    def _refusal(self, message: str) -> Reject:
        return Reject(401, message, headers=self._challenge)


def signing_string(request: Request, names: list[str]) -> str:
    """What is signed, one line for each name, one character for each byte."""
    lines = []
    for name in names:
        value = request.headers.values.get(name.lower())
        if value is not None:
            lines.append(f"{name}: {value}")
        elif name == "@request-target":
            lines.append(f"{name}: {request.method.lower()} {request.target.raw}")
        elif name == "request-line":
            lines.append(f"{request.method} {request.target.raw} HTTP/{request.versions[request.minor]}")
        else:
            lines.append(f"{name}:")
    return "\n".join(lines)


@lru_cache(maxsize=256)
def _instant(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date (RFC 9110 5.6.7)."""
    try:
        parsed = parsedate_to_datetime(date)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
