"""Headers of other gateways that clients still send: understood where that is clear, never passed on.

What they tell of a call (a trace, tags, whose it is) goes into its log record; shorter timeouts hold, what
must not be logged is not. The rest has no effect here: keys, addresses and configurations are the operator's
to settle. https://docs.litellm.ai/docs/proxy/request_headers,
https://portkey.ai/docs/api-reference/inference-api/headers, https://docs.helicone.ai/helicone-headers/header-directory
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from tollhouse.llm.form import MALFORMED, Refusal
from tollhouse.pdk import Exchange, Patience
from tollhouse.pdk.usage import Metered

PREFIXES: Final = ("x-litellm-", "x-portkey-", "helicone-")
_PROPERTY: Final = "helicone-property-"
#: what log records call it
_TEXTS: Final[Mapping[str, str]] = {
    "x-litellm-trace-id": "trace_id",
    "x-portkey-trace-id": "trace_id",
    "x-portkey-span-id": "span_id",
    "x-portkey-parent-span-id": "parent_span_id",
    "x-portkey-span-name": "span_name",
    "x-litellm-call-id": "request_id",
    "helicone-request-id": "request_id",
    "x-litellm-session-id": "session_id",
    "helicone-session-id": "session_id",
    "helicone-session-name": "session_name",
    "helicone-session-path": "session_path",
    "x-litellm-end-user-id": "user",
    "x-litellm-customer-id": "user",
    "helicone-user-id": "user",
    "helicone-prompt-id": "prompt_id",
}
#: JSON objects of the client's choosing
_METADATA: Final = ("x-litellm-spend-logs-metadata", "x-portkey-metadata")
#: commas between them
_TAGS: Final = "x-litellm-tags"
#: what part of an exchange is not to be logged
_WITHHELD: Final[Mapping[str, tuple[str, ...]]] = {
    "x-litellm-enable-message-redaction": ("request", "response"),
    "helicone-omit-request": ("request",),
    "helicone-omit-response": ("response",),
}
#: in seconds, as they are told
_TOTAL: Final[Mapping[str, float]] = {"x-litellm-timeout": 1.0, "x-portkey-request-timeout": 0.001}
_FIRST: Final = "x-litellm-stream-timeout"
_REFRESH: Final = "x-portkey-cache-force-refresh"


class _Heard(msgspec.Struct):
    """What one request told, kept for when it is sent again."""

    #: by lower-case name
    fields: dict[str, str] | None = None


def heed(ex: Exchange, metered: Metered | None, *, streamed: bool) -> None:
    """Takes the headers of other gateways from the request, and does what they ask for where that can be
    done. To be called once the exchange has its patience. Raises `Refusal` for a timeout that is none."""
    heard, headers = ex.peek(_Heard), ex.request.headers
    names = headers.beginning(PREFIXES)
    if heard is None:
        if not names:
            return
        heard = ex.slot(_Heard)
        heard.fields = {name: headers.values[name] for name in names}
    for name in names:
        headers.remove(name)
    fields = heard.fields or {}
    if fields.get(_REFRESH, "").lower() == "true":
        headers.set("Cache-Control", "no-cache")
    ex.patience = _patience(ex.patience or Patience(), fields, streamed=streamed)
    if metered is not None:
        metered.told = _told(fields)
        metered.withheld = tuple(
            part
            for name, parts in _WITHHELD.items()
            if fields.get(name, "").lower() == "true"
            for part in parts
        )


def _patience(usual: Patience, fields: Mapping[str, str], *, streamed: bool) -> Patience:
    """The operator's patience, or less of it: a client may be in more of a hurry, never less."""
    total, first = usual.total, usual.first
    for name, unit in _TOTAL.items():
        if name in fields:
            total = min(total, _seconds(name, fields[name], unit))
    if streamed and _FIRST in fields:
        wanted = _seconds(_FIRST, fields[_FIRST], 1.0)
        first = wanted if first is None else min(first, wanted)
    if (total, first) == (usual.total, usual.first):
        return usual
    return replace(usual, total=total, first=first)


def _seconds(name: str, text: str, unit: float) -> float:
    try:
        seconds = float(text) * unit
    except ValueError:
        seconds = 0.0
    if not (isfinite(seconds) and seconds > 0):
        raise Refusal(f"{name} must be a time above 0, not '{text}'")
    return seconds


def _told(fields: Mapping[str, str]) -> dict[str, Any] | None:
    """What log records say of it; `None` if that is nothing."""
    found: dict[str, Any] = {}
    for name, shown in _TEXTS.items():
        if fields.get(name):
            found.setdefault(shown, fields[name])
    tags = [tag.strip() for tag in fields.get(_TAGS, "").split(",") if tag.strip()]
    if tags:
        found["tags"] = tags
    metadata = _metadata(fields)
    if metadata:
        found["metadata"] = metadata
        # Portkey's name for the end user
        if isinstance(user := metadata.get("_user"), str):
            found.setdefault("user", user)
    return found or None


def _metadata(fields: Mapping[str, str]) -> dict[str, Any]:
    """What stands in no other member; what is no JSON object is kept as it came."""
    found: dict[str, Any] = {}
    for name in _METADATA:
        if name not in fields:
            continue
        try:
            found |= msgspec.json.decode(fields[name].encode("latin-1"), type=dict[str, Any])
        except MALFORMED:
            found[name] = fields[name]
    for name, value in fields.items():
        if name.startswith(_PROPERTY):
            found[name.removeprefix(_PROPERTY)] = value
    return found
