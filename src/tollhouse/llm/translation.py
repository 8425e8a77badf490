"""Client and provider speak different forms: everything passes through the neutral one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    AnswerPart,
    Citation,
    Delta,
    Image,
    Logprobs,
    Start,
    Tool,
    ToolCall,
    ToolKind,
    ToolStart,
)
from tollhouse.llm.dialogue import Got, Sent, name_of
from tollhouse.llm.dropping import encoded
from tollhouse.llm.form import Form, ServerForm, Told, Unsupported
from tollhouse.llm.formats.openai_chat.forward import Members, body_of
from tollhouse.llm.passing import PassageBase, written_in
from tollhouse.llm.provider import Provider
from tollhouse.llm.settings import Options
from tollhouse.llm.unshown import missing_of, unshown_in

_FIXED: Final = ("max_tokens", "temperature", "top_p", "top_k")


class Translation:
    """One form towards the client, another towards the provider."""

    def __init__(
        self,
        client: Form,
        form: ServerForm,
        provider: Provider,
        options: Options | None,
        *,
        compatible: bool,
        drops: bool = False,
    ) -> None:
        """`options` are the operator's, where they have not been put into the request before.
        `compatible`: `form` is OpenAI's, of which the provider may have its own dialect. `drops`: what
        `form` cannot express is left out."""
        self._drops = drops
        self._client = client
        self._name = name_of(client)
        self._form = form
        self._dialect = provider if compatible else None
        self._refused = provider.refuses - {"stream_options"}
        given = {name: getattr(options, name, None) for name in _FIXED if name not in self._refused}
        #: what the operator sets in every request
        self._overrides = {name: value for name, value in given.items() if value is not None}
        self.stream_type: str | None = client.STREAM_TYPE

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        """The request for the provider. Raises `Refusal` for what its form cannot express."""
        ignored: list[str] = []
        chat = self._client.decode_request(body_of(members), told)
        options = replace(chat.options, **self._overrides) if self._overrides else chat.options
        chat = replace(chat, model=model, stream=stream, options=options)
        body, dropped = encoded(self._form, chat, ignored, drops=self._drops)
        if self._dialect is not None:
            self._refuse(body, dropped)
            spoken(body, self._dialect)
        names = tuple(dict.fromkeys(ignored))
        kinds = {tool.name: tool.kind for tool in chat.tools if isinstance(tool, Tool)}
        if kinds:
            kinds = {name: kind for name, kind in kinds.items() if kind != "function"}
        content = msgspec.json.encode(body)
        return Sent(
            content, chat.include_usage, ignored=names, dropped=tuple(dropped), model=model, kinds=kinds
        )

    def _refuse(self, body: dict[str, Any], dropped: list[str]) -> None:
        """Raises `Unsupported` for what the provider of this dialect refuses, unless that may be dropped."""
        for name in self._refused & body.keys():
            if not self._drops:
                raise Unsupported(name, f"{name} is not supported by this model's provider")
            dropped.append(name)

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
        chat = self._form.decode_response(content)
        chat = replace(
            chat, id=chat.id or invented_id, created=chat.created or now, model=chat.model or sent.model
        )
        if sent.kinds:
            chat = replace(chat, parts=tuple(_as_asked(part, sent.kinds) for part in chat.parts))
        shown = msgspec.json.encode(self._client.encode_response(chat))
        return Got(
            shown, chat.model, chat.usage, written=written_in(chat), unshown=unshown_in(chat, self._name)
        )

    def is_stream(self, content_type: str) -> bool:
        return False

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> "StreamTranslation":
        return StreamTranslation(self._form, self._client, sent, invented_id, now, keep_text=keep_text)


class StreamTranslation(PassageBase):
    """A streamed answer in another form."""

    __slots__ = ("_client", "_invented_id", "_kinds", "_now")

    def __init__(
        self, form: ServerForm, client: Form, sent: Sent, invented_id: str, now: int, *, keep_text: bool
    ) -> None:
        encoder = client.stream_encoder(include_usage=sent.include_usage)
        super().__init__(form.stream_decoder(), encoder, model=sent.model, keep_text=keep_text)
        self._invented_id = invented_id
        self._client = name_of(client)
        self._kinds = sent.kinds
        self._now = now

    def feed(self, data: bytes, last: bool) -> bytes:
        deltas = self._decoder.feed(data)
        if last:
            deltas += self._ended()
        return b"".join([self._encoder.encode(self._completed(delta)) for delta in deltas])

    @property
    def unshown(self) -> tuple[str, ...]:
        return tuple(self.noted.unshown)

    def _completed(self, delta: Delta) -> Delta:
        """Notes what it says, and fills in what the provider did not tell."""
        self.noted.note(delta)
        if self._kinds and isinstance(delta, ToolStart):
            return replace(delta, kind=self._kinds.get(delta.name, "function"))
        if isinstance(delta, Image | Citation | Logprobs):
            self.noted.unshown.update(dict.fromkeys(missing_of(delta, self._client)))
        if not isinstance(delta, Start):
            return delta
        return replace(
            delta,
            model=self.noted.model,
            id=delta.id or self._invented_id,
            created=delta.created or self._now,
        )


def _as_asked(part: AnswerPart, kinds: Mapping[str, ToolKind]) -> AnswerPart:
    """A call of what is no function to the client as a call of what it is."""
    if not isinstance(part, ToolCall) or part.name not in kinds:
        return part
    return replace(part, kind=kinds[part.name])


def spoken(body: dict[str, Any], provider: Provider) -> None:
    """Turns a request in OpenAI's form into the provider's dialect of it."""
    for name in provider.refuses:
        body.pop(name, None)
    if not provider.asks_usage:
        body.pop("stream_options", None)
    for name, theirs in provider.renames:
        if name in body:
            body.setdefault(theirs, body.pop(name))
    if provider.call_id is not None:
        rename_calls(body.get("messages"), provider.call_id)


def rename_calls(messages: Any, call_id: Callable[[str], str]) -> None:
    """Gives the calls in a conversation, and what came of them, ids that the provider takes."""
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and isinstance(call.get("id"), str):
                call["id"] = call_id(call["id"])
        if isinstance(message.get("tool_call_id"), str):
            message["tool_call_id"] = call_id(message["tool_call_id"])
