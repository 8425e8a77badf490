"""Servers that go on with a text: Hugging Face's text-generation-inference, and what Kong calls the `raw`
format of Llama 2. Towards providers only: no client speaks it.

https://huggingface.co/docs/text-generation-inference/basic_tutorials/consuming_tgi
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Chat, ChatRequest, Delta, Finish, Message, Options, Reason, Start, Text
from tollhouse.llm.form import MALFORMED, Refusal, StreamDecoder, Unreadable, Unsupported
from tollhouse.llm.reading import EventDecoder
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent

NOT_READABLE: Final = "'generated_text' not in the provider's answer"
_SUPPORTED: Final = "supported by servers that go on with a text"
#: their names of options
_OPTIONS: Final = (
    ("max_tokens", "max_new_tokens"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("stop", "stop"),
    ("seed", "seed"),
    ("frequency_penalty", "frequency_penalty"),
)
_LEFT_OUT: Final = ("presence_penalty", "logprobs", "top_logprobs")
_REASONS: Final[dict[str, Reason]] = {"length": "length", "eos_token": "stop", "stop_sequence": "stop"}
_END_OF_PROMPT: Final = "[/INST]"


class _Details(msgspec.Struct):
    finish_reason: str = ""
    generated_tokens: int | None = None
    prefill: list[msgspec.Raw] = []

    def usage(self) -> Usage | None:
        if self.generated_tokens is None or not self.prefill:
            return None
        return Usage(len(self.prefill), self.generated_tokens)


class _Generated(msgspec.Struct):
    generated_text: str
    details: _Details | None = None


class _Data(msgspec.Struct):
    data: list[_Generated]


class _Token(msgspec.Struct):
    text: str = ""
    special: bool = False


class _Event(msgspec.Struct):
    token: _Token | None = None
    generated_text: str | None = None
    details: _Details | None = None
    error: str | None = None


_read_whole: Final = msgspec.json.Decoder(list[_Generated] | _Data).decode
_read_one: Final = msgspec.json.Decoder(_Generated).decode
_read_event: Final = msgspec.json.Decoder(_Event).decode


def _plain(chat: ChatRequest) -> str:
    """What is gone on with where a prompt is all there is."""
    return "\n".join(_text(message, place) for place, message in enumerate(chat.messages))


def _instructed(chat: ChatRequest) -> str:
    """A conversation as Llama 2 was taught it: https://huggingface.co/blog/llama2#how-to-prompt-llama-2."""
    system, text = "", ""
    for place, message in enumerate(chat.messages):
        said = _text(message, place)
        if message.role == "system":
            system += f"<<SYS>> {said} <</SYS>> "
        elif message.role == "user":
            text += f"{' ' if text else ''}<s>[INST] {system}{said} {_END_OF_PROMPT}"
            system = ""
        else:
            text += f" {said} </s>"
    return text


def _text(message: Message, place: int) -> str:
    if message.role == "tool" or not all(isinstance(part, Text) for part in message.parts):
        raise Refusal(f"messages[{place}]: only text is {_SUPPORTED}")
    return "".join(part.text for part in message.parts if isinstance(part, Text))


class TextGeneration:
    """One of them. `prompt` writes a conversation as one text; `stream_inside`: whether a stream is asked
    for among the parameters."""

    def __init__(self, prompt: Callable[[ChatRequest], str], *, stream_inside: bool) -> None:
        self._prompt = prompt
        self._stream_inside = stream_inside

    def encode_request(self, chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
        """Raises `Refusal`."""
        if chat.tools:
            raise Unsupported("tools", f"tools are not {_SUPPORTED}")
        if chat.response_format is not None and chat.response_format.kind != "text":
            raise Unsupported("response_format", f"response_format is not {_SUPPORTED}")
        if (chat.options.n or 1) > 1:
            raise Unsupported("n", f"n is not {_SUPPORTED}")
        ignored += [name for name in _LEFT_OUT if getattr(chat.options, name) is not None]
        ignored += [*chat.extra, *(("user",) if chat.user is not None else ())]
        parameters = _parameters(chat.options)
        if self._stream_inside:
            return {"inputs": self._prompt(chat), "parameters": {**parameters, "stream": chat.stream}}
        body = {"inputs": self._prompt(chat), "parameters": parameters, "stream": chat.stream}
        return {**body, "model": chat.model} if chat.model else body

    def decode_response(self, body: bytes) -> Chat:
        """Raises `Unreadable`. Llama's servers repeat the prompt before the answer."""
        found = _generated(body)
        text = found.generated_text
        if self._stream_inside:
            text = text.rpartition(_END_OF_PROMPT)[2].strip()
        details = found.details or _Details()
        reason = _REASONS.get(details.finish_reason, "stop")
        return Chat(model="", parts=(Text(text),), reason=reason, usage=details.usage())

    def stream_decoder(self) -> StreamDecoder:
        return _Decoder()


def _parameters(options: Options) -> dict[str, Any]:
    told = ((theirs, getattr(options, name)) for name, theirs in _OPTIONS)
    return {name: value for name, value in told if value is not None}


def _generated(body: bytes) -> _Generated:
    try:
        whole = _read_whole(body) if body.lstrip()[:1] == b"[" or b'"data"' in body else [_read_one(body)]
    except MALFORMED:
        raise Unreadable(NOT_READABLE) from None
    found = whole.data if isinstance(whole, _Data) else whole
    if not found:
        raise Unreadable(NOT_READABLE)
    return found[0]


class _Decoder(EventDecoder):
    """One token an event; the last has the whole text."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        super().__init__()
        self._started = False

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        if self._over or not event.data:
            return
        try:
            told = _read_event(event.data)
        except MALFORMED:
            self.skipped += 1
            return
        if told.error is not None:
            self._fail(told.error, deltas)
            return
        if not self._started:
            self._started = True
            deltas.append(Start(""))
        if told.token is not None and told.token.text and not told.token.special:
            deltas.append(Text(told.token.text))
        if told.generated_text is not None:
            self._over = True
            details = told.details or _Details()
            deltas.append(Finish(_REASONS.get(details.finish_reason, "stop"), details.usage()))


HUGGING_FACE: Final = TextGeneration(_plain, stream_inside=False)
LLAMA_RAW: Final = TextGeneration(_instructed, stream_inside=True)
