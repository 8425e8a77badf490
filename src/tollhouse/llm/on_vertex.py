"""Claude on Vertex: Anthropic's form, but for where it tells the model and the version.
https://docs.claude.com/en/api/claude-on-vertex-ai"""

import re
from typing import Final

import msgspec

from tollhouse.llm.dialogue import Dialogue, Got, Passage, Sent
from tollhouse.llm.form import Told
from tollhouse.llm.formats.openai_chat.forward import FALSE, TRUE, Members, body_of, members_of
from tollhouse.llm.providers.vertex import anthropic_body

#: Google's names of models have the day behind an `@`
_DATED: Final = re.compile(r"(claude-[^@/]+)@(\d{8}|default|latest)")


def anthropics_name(model: str) -> str:
    """What Anthropic calls a model that may have Google's name: `claude-opus-4@20250514`."""
    found = _DATED.fullmatch(model)
    if found is None:
        return model
    return f"{found[1]}-{found[2]}" if found[2].isdecimal() else found[1]


def anthropics_body(content: bytes, told: Told) -> bytes:
    """The request that Anthropic's own API takes, of one that a client sends to Vertex. Raises `Refusal`."""
    members = members_of(content)
    members.pop("anthropic_version", None)
    if told.model:
        members["model"] = msgspec.Raw(msgspec.json.encode(told.model))
        members["stream"] = TRUE if told.stream else FALSE
    return body_of(members)


class OnVertex:
    """A dialogue whose requests have the version in the body, and the model in the path alone."""

    def __init__(self, inner: Dialogue) -> None:
        self._inner = inner
        self.stream_type = inner.stream_type

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        sent = self._inner.request(members, told, model=model, stream=stream)
        sent.content = msgspec.json.encode(anthropic_body(members_of(sent.content)))
        return sent

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
        return self._inner.answer(content, sent, invented_id, now)

    def is_stream(self, content_type: str) -> bool:
        return self._inner.is_stream(content_type)

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage:
        return self._inner.stream(sent, invented_id, now, keep_text=keep_text)
