"""A request's body as far as operations look into it: its model and whether a stream is wanted."""

from dataclasses import dataclass
from typing import Any, Final, Protocol

import msgspec

from tollhouse.llm import tokens
from tollhouse.llm.form import MALFORMED, Refusal
from tollhouse.llm.formats.openai_chat.forward import Members, body_of, is_true, members_of, text_of
from tollhouse.llm.operations.multipart import field_of, with_field
from tollhouse.pdk.body import MULTIPART
from tollhouse.pdk.messages import Request

_JSON: Final = "application/json"
_SSE: Final = msgspec.Raw(b'"sse"')
#: members whose text is what a model reads
_PROMPTS: Final = ("input", "prompt", "query", "documents", "texts", "inputText", "content", "requests")


class Body(Protocol):
    @property
    def model(self) -> str | None: ...
    @property
    def wants_stream(self) -> bool: ...
    @property
    def members(self) -> Members | None:
        """Of a JSON object; `None` for anything else."""
        ...

    def bytes_with(self, model: str | None) -> bytes:
        """The body for a provider; `None` leaves its model, or the lack of one, as it is."""
        ...

    def prompt_tokens(self) -> int:
        """About how many tokens the texts in it have."""
        ...


@dataclass(slots=True)
class JsonBody:
    members: Members

    @property
    def model(self) -> str | None:
        return text_of(self.members.get("model"))

    @property
    def wants_stream(self) -> bool:
        # Speech is streamed as events only if its format is told to be that.
        return is_true(self.members.get("stream")) or self.members.get("stream_format") == _SSE

    def bytes_with(self, model: str | None) -> bytes:
        if model is not None:
            self.members["model"] = msgspec.Raw(msgspec.json.encode(model))
        return body_of(self.members)

    def prompt_tokens(self) -> int:
        found: list[Any] = []
        for name in _PROMPTS:
            if name in self.members:
                try:
                    found.append(msgspec.json.decode(self.members[name]))
                except MALFORMED:
                    continue
        return tokens.prompt_tokens(found)


@dataclass(slots=True)
class FormBody:
    """A multipart form: sound or pictures, and fields beside them."""

    content: bytes
    content_type: str
    members: None = None

    @property
    def model(self) -> str | None:
        return self._value("model")

    @property
    def wants_stream(self) -> bool:
        return (self._value("stream") or "").lower() == "true"

    def _value(self, name: str) -> str | None:
        place = field_of(self.content, self.content_type, name)
        return None if place is None else self.content[place.start : place.end].decode("utf-8", "replace")

    def bytes_with(self, model: str | None) -> bytes:
        if model is None or model == self.model:
            return self.content
        return with_field(self.content, self.content_type, "model", model)

    def prompt_tokens(self) -> int:
        return tokens.prompt_tokens(self._value("prompt") or "")


@dataclass(slots=True)
class OtherBody:
    """Nothing, or something that is not looked into."""

    content: bytes
    model: None = None
    members: None = None
    wants_stream: bool = False

    def bytes_with(self, model: str | None) -> bytes:
        return self.content

    def prompt_tokens(self) -> int:
        return 0


def body_from(request: Request, limit_bytes: int) -> Body:
    """The body of a request for an operation that is told its model. Raises `Refusal`."""
    content = request.content
    if content is None or len(content) > limit_bytes:
        raise Refusal(f"the request body is larger than the {limit_bytes} bytes that are read here", 413)
    if request.media_type == MULTIPART:
        return FormBody(content, request.headers.values.get("content-type", ""))
    if request.media_type not in (_JSON, ""):
        raise Refusal(f"a body of type {request.media_type} is not understood here", 415)
    try:
        return JsonBody(members_of(content))
    except Refusal:
        raise Refusal("the request body is not a JSON object") from None
