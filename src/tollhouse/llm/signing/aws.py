"""AWS Signature Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

For all services but S3, which encodes paths once and does not normalise them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from hmac import new as hmac
from typing import Final
from urllib.parse import quote, unquote_to_bytes

_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_BLANKS: Final = re.compile(r"\s+")
#: fields that proxies and clients add or change on the way; botocore does not sign them either
_NOT_SIGNED: Final = frozenset(
    {"authorization", "connection", "expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"}
)
_ADDED: Final = frozenset({"x-amz-date", "x-amz-security-token"})


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """`expires_at` is in seconds since the epoch, `None` for keys that last."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: float | None = None


def signed_fields(
    method: str,
    host: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    credentials: AwsCredentials,
    *,
    region: str,
    service: str,
    instant: float,
) -> dict[str, str]:
    """The fields to add to a request so that AWS believes it.

    `path` and `query` are as sent, percent-encoded. `headers` are those to sign beside Host; whatever of
    them is changed on the way breaks the signature. `instant` is in seconds since the epoch.
    """
    stamp = datetime.fromtimestamp(instant, UTC).strftime("%Y%m%dT%H%M%SZ")
    added = {"X-Amz-Date": stamp}
    if credentials.session_token is not None:
        added["X-Amz-Security-Token"] = credentials.session_token
    given = ((name, value) for name, value in headers if name.lower() not in _ADDED)
    names, lines = _canonical_headers([("host", host), *given, *added.items()])
    canonical = "\n".join(
        (method, canonical_path(path), canonical_query(query), *lines, "", names, sha256(body).hexdigest())
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, stamp, scope, sha256(canonical.encode()).hexdigest()))
    signature = hmac(
        _signing_key(credentials.secret_access_key, stamp[:8], region, service), to_sign.encode(), sha256
    ).hexdigest()
    added["Authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    return added


def canonical_path(path: str) -> str:
    """The path without dot segments and empty ones, encoded once more than it is sent: `%3A` becomes
    `%253A`."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    ends = "/" if segments and path.endswith(("/", "/.", "/..")) else ""
    return quote("/" + "/".join(segments) + ends, safe="/~")


def canonical_query(query: str) -> str:
    """Arguments in the order of their encoded names and values, each with a `=`."""
    arguments = []
    for argument in query.split("&"):
        if argument:
            name, _, value = argument.partition("=")
            arguments.append((_encoded_once(name), _encoded_once(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(arguments))


def _encoded_once(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="~")


def _canonical_headers(headers: Iterable[tuple[str, str]]) -> tuple[str, list[str]]:
    """The names that are signed, and a line for each."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower not in _NOT_SIGNED:
            values.setdefault(lower, []).append(_BLANKS.sub(" ", value.strip()))
    values["host"] = values["host"][:1]
    names = sorted(values)
    return ";".join(names), [f"{name}:{','.join(values[name])}" for name in names]


def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for text in (date, region, service, "aws4_request"):
        key = hmac(key, text.encode(), sha256).digest()
    return key
