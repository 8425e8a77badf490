"""Which recorded answer a request gets. Pure."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tollhouse.llm.form import MALFORMED
from tollhouse.llm.recognise import Asked, recognised
from tollhouse.replay.recordings import FORMS_OF_ENDPOINTS, Recording

#: operations of recordings whose path was not kept
_OPERATIONS: Final = {
    "embeddings": "embeddings",
    "embed": "embeddings",
    "embedContent": "embeddings",
    "predict": "embeddings",
    "rerank": "rerank",
    "invoke": "invoke",
    "messages.count_tokens": "count_tokens",
    "countTokens": "count_tokens",
    "count-tokens": "count_tokens",
}


class Repertoire:
    """Recordings, from which each request gets the one that fits it best: the same form and operation is a
    must; then streamed as asked, then the same body, then no error, then the same path, then the same
    model. Equals take turns."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = tuple(recordings)
        self._served: dict[str, int] = {}

    def named(self, name: str) -> Recording | None:
        return next((stored for stored in self._recordings if stored.name == name), None)

    def for_request(self, path: str, body: bytes) -> Recording | None:
        """`None` if nothing of the kind was recorded."""
        path = path.partition("?")[0]
        asked, members = recognised(path), _members(body)
        fitting = [
            (_fit(stored, path, members, _streams(asked, members)), stored)
            for stored in self._recordings
            if (stored.path == path or _same_kind(stored, asked))
        ]
        if not fitting:
            return None
        best = max(fit for fit, _ in fitting)
        equals = [stored for fit, stored in fitting if fit == best]
        chosen = min(equals, key=lambda stored: self._served.get(stored.name, 0))
        self._served[chosen.name] = self._served.get(chosen.name, 0) + 1
        return chosen


def _members(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except MALFORMED:
        return {}
    return found if isinstance(found, dict) else {}


def _streams(asked: Asked | None, members: dict[str, Any]) -> bool:
    if asked is not None and asked.told.stream:
        return True
    default = asked is not None and asked.form == "ollama_chat" and asked.operation == "chat"
    return members.get("stream", default) is True


def _same_kind(stored: Recording, asked: Asked | None) -> bool:
    if asked is None:
        return False
    if (kept := recognised(stored.path)) is not None:
        return (kept.form, kept.operation) == (asked.form, asked.operation)
    form = FORMS_OF_ENDPOINTS.get(stored.endpoint, "openai_chat")
    return (form, _OPERATIONS.get(stored.endpoint, "chat")) == (asked.form, asked.operation)


def _fit(stored: Recording, path: str, members: dict[str, Any], streams: bool) -> tuple[bool, ...]:
    kept = stored.request if isinstance(stored.request, dict) else {}
    return (
        stored.streamed == streams,
        kept == members,
        stored.status < 400,
        stored.path == path,
        kept.get("model") == members.get("model"),
    )
