"""Text completions of providers that have none of OpenAI's form: the prompt is what the user says.

https://platform.openai.com/docs/api-reference/completions
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import ChatRequest, Delta, Failed, Finish, Message, Options, Ping, Reason, Start, Text
from tollhouse.llm.dialogue import Got, Passage, Sent
from tollhouse.llm.dropping import encoded
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import MALFORMED, Refusal, ServerForm, StreamDecoder, Told
from tollhouse.llm.formats.openai_chat.forward import COMPLETIONS, Members, body_of, check_kind, is_array
from tollhouse.llm.formats.openai_chat.stream import failure
from tollhouse.llm.formats.openai_chat.usage import shown
from tollhouse.llm.passing import PassageBase, written_in
from tollhouse.llm.provider import Provider
from tollhouse.llm.translation import spoken
from tollhouse.pdk.usage import Usage

_SSE: Final = "text/event-stream"
_DONE: Final = b"data: [DONE]\n\n"
_PING: Final = b": ping\n\n"
#: what a chat cannot do. A value beside the name asks for nothing.
_REFUSED: Final[Mapping[str, tuple[Any, ...]]] = {
    "suffix": (None, ""),
    "echo": (None, False),
    "best_of": (None, 1),
    "n": (None, 1),
    "logprobs": (None,),
    "logit_bias": (None, {}),
}


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class _Request(msgspec.Struct):
    prompt: str | list[str]
    max_tokens: int | None = None
    temperature: int | float | None = None
    top_p: int | float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: int | float | None = None
    frequency_penalty: int | float | None = None
    user: str | None = None
    stream_options: _StreamOptions | None = None


_KNOWN: Final = frozenset({*(f.name for f in msgspec.structs.fields(_Request)), "model", "stream", *_REFUSED})


def _chat(content: bytes, model: str, ignored: list[str], *, stream: bool) -> ChatRequest:
    """The chat that a completion is asked of. Raises `Refusal`."""
    try:
        raw = msgspec.json.decode(content, type=dict[str, Any])
        asked = msgspec.convert(raw, _Request)
    except MALFORMED as error:
        raise Refusal(f"the request body is not a request for a completion of text: {error}") from None
    prompt = asked.prompt if isinstance(asked.prompt, str) else "".join(asked.prompt[:1])
    if not isinstance(asked.prompt, str) and len(asked.prompt) != 1:
        raise Refusal(f"prompt: this model takes one a request; {len(asked.prompt)} were sent")
    if not prompt:
        raise Refusal("prompt: required")
    ignored += [name for name in raw if name not in _KNOWN]
    return ChatRequest(
        form="openai_chat",
        model=model,
        messages=(Message("user", (Text(prompt),)),),
        stream=stream,
        options=_options(asked),
        user=asked.user,
        include_usage=asked.stream_options is not None and asked.stream_options.include_usage,
        own_only=tuple(name for name, unused in _REFUSED.items() if raw.get(name) not in unused),
    )


def _options(asked: _Request) -> Options:
    stop = (asked.stop,) if isinstance(asked.stop, str) else asked.stop
    return Options(
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=None if stop is None else tuple(stop),
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
    )


class Completing:
    """A dialogue of completions with the client and chats of a form with the provider."""

    stream_type: str | None = _SSE

    def __init__(self, form: ServerForm, dialect: Provider | None, fixed: Fixed, *, drops: bool) -> None:
        """`dialect`: the provider, if `form` is OpenAI's. `fixed` is what the operator sets in every request.
        `drops`: what a chat or `form` cannot express is left out in place of being refused."""
        self._form = form
        self._dialect = dialect
        self._fixed = fixed
        self._drops = drops

    def request(self, members: Members, told: Told, *, model: str, stream: bool) -> Sent:
        ignored: list[str] = []
        if not is_array(members.get("prompt")):
            check_kind(members, COMPLETIONS)
        self._fixed.put_in(members)
        chat = _chat(body_of(members), model, ignored, stream=stream)
        sent, dropped = encoded(self._form, chat, ignored, drops=self._drops)
        if self._dialect is not None:
            spoken(sent, self._dialect)
        names = tuple(dict.fromkeys(ignored))
        content = msgspec.json.encode(sent)
        return Sent(content, chat.include_usage, ignored=names, dropped=tuple(dropped), model=model)

    def answer(self, content: bytes, sent: Sent, invented_id: str, now: int) -> Got:
        chat = self._form.decode_response(content)
        model = chat.model or sent.model
        text = "".join(part.text for part in chat.parts if isinstance(part, Text))
        body = _head(chat.id or invented_id, chat.created or now, model) | {
            "choices": [_choice(text, chat.reason)]
        }
        if chat.usage is not None:
            body["usage"] = shown(chat.usage)
        return Got(msgspec.json.encode(body), model, chat.usage, written=written_in(chat))

    def is_stream(self, content_type: str) -> bool:
        return False

    def stream(self, sent: Sent, invented_id: str, now: int, *, keep_text: bool) -> Passage:
        return _Stream(self._form.stream_decoder(), sent, invented_id, now, keep_text=keep_text)


def _head(id_: str, created: int, model: str) -> dict[str, Any]:
    return {"id": id_, "object": "text_completion", "created": created, "model": model}


def _choice(text: str, reason: Reason | None) -> dict[str, Any]:
    shown_reason = "stop" if reason == "tool_calls" else reason
    return {"text": text, "index": 0, "logprobs": None, "finish_reason": shown_reason}


class _Encoder:
    """Writes a completion as it grows."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._start = _head("", 0, "")

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(model, id_, created):
                self._start = _head(id_, created or 0, model)
                return b""
            case Text(text):
                return self._event([_choice(text, None)])
            case Finish(reason, usage):
                return self._event([_choice("", reason)]) + self._last(usage)
            case Failed(message, trouble):
                return failure(message, trouble)
            case Ping():
                return _PING
            case _:
                return b""  # thoughts, which completions have no place for

    def _last(self, usage: Usage | None) -> bytes:
        told = self._event([], usage=shown(usage)) if self._include_usage and usage is not None else b""
        return told + _DONE

    def _event(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        return b"data: " + msgspec.json.encode(self._start | {"choices": choices} | more) + b"\n\n"


class _Stream(PassageBase):
    """A chat's stream as that of a completion."""

    __slots__ = ("_invented_id", "_now")

    def __init__(
        self, decoder: StreamDecoder, sent: Sent, invented_id: str, now: int, *, keep_text: bool
    ) -> None:
        encoder = _Encoder(include_usage=sent.include_usage)
        super().__init__(decoder, encoder, model=sent.model, keep_text=keep_text)
        self._invented_id = invented_id
        self._now = now

    def feed(self, data: bytes, last: bool) -> bytes:
        deltas = self._decoder.feed(data)
        if last:
            deltas += self._ended()
        return b"".join([self._encoder.encode(self._completed(delta)) for delta in deltas])

    def _completed(self, delta: Delta) -> Delta:
        self.noted.note(delta)
        if not isinstance(delta, Start):
            return delta
        created = delta.created or self._now
        return replace(delta, model=self.noted.model, id=delta.id or self._invented_id, created=created)
