"""Whether answers are the same whole and streamed, in every form: what is asked, and how that is compared.

Pure: whoever uses it asks the provider, or has recordings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from tollhouse.llm.chat import (
    Chat,
    ChatRequest,
    Delta,
    Failed,
    Finish,
    Image,
    Logprobs,
    Message,
    Options,
    Part,
    Start,
    Text,
    Thinking,
    Tool,
    ToolArguments,
    ToolCall,
    ToolStart,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import MALFORMED, Form, Unreadable
from tollhouse.llm.provider import FormName

Case: TypeAlias = Literal["text", "one tool", "parallel tools", "text and tool", "thinking and tool"]
CASES: Final[tuple[Case, ...]] = get_args(Case)
FORM_NAMES: Final[tuple[FormName, ...]] = tuple(FORMS)

_WEATHER: Final = Tool(
    "get_weather",
    "The weather in a city, now.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
_PROMPTS: Final[dict[Case, str]] = {
    "text": "Say the word hello and nothing else.",
    "one tool": "What is the weather in Paris? Use the tool.",
    "parallel tools": "What is the weather in Paris and in Rome? Call the tool for both cities at once.",
    "text and tool": "First write one short sentence that says what you will do, and in the same answer call "
    "the tool for the weather in Paris.",
    "thinking and tool": "Think about which city of France is the largest, then call the tool for it.",
}
_MOST_TOKENS: Final = 4000


def request_of(case: Case, model: str, *, stream: bool) -> ChatRequest:
    thinks = case == "thinking and tool"
    return ChatRequest(
        form="neutral",
        model=model,
        messages=(Message("user", (Text(_PROMPTS[case]),)),),
        stream=stream,
        tools=() if case == "text" else (_WEATHER,),
        options=Options(max_tokens=_MOST_TOKENS),
        effort="low" if thinks else None,
        show_thinking=True if thinks else None,
        include_usage=True,
    )


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, put together. `failed` is why it is none."""

    text: str = ""
    thinking: str = ""
    #: name and arguments of each call
    calls: tuple[tuple[str, Any], ...] = ()
    reason: str = ""
    #: prompt and completion
    tokens: tuple[int, int] | None = None
    failed: str = ""

    @property
    def case(self) -> Case | None:
        """What kind of answer it is."""
        if not self.calls:
            return "text" if self.text else None
        if self.thinking:
            return "thinking and tool"
        if self.text.strip():
            return "text and tool"
        return "parallel tools" if len(self.calls) > 1 else "one tool"


def said_in(chat: Chat) -> Said:
    """Of a whole answer."""
    calls = [(part.name, _arguments(part.arguments)) for part in chat.parts if isinstance(part, ToolCall)]
    usage = chat.usage
    return Said(
        "".join(part.text for part in chat.parts if isinstance(part, Text)),
        "".join(part.text for part in chat.parts if isinstance(part, Thinking)),
        tuple(calls),
        chat.reason,
        None if usage is None else (usage.prompt_tokens, usage.completion_tokens),
    )


def _arguments(text: str) -> Any:
    """Decoded, so that spaces do not count; what is no JSON is compared as it is."""
    try:
        return msgspec.json.decode(text or "{}")
    except MALFORMED:
        return text


def assembled(deltas: Sequence[Delta]) -> Chat | Failed:
    """A streamed answer as a whole one, its parts in the order in which they began."""
    parts: list[Part] = []
    places: dict[int, int] = {}
    start = next((delta for delta in deltas if isinstance(delta, Start)), Start(""))
    likely = tuple(token for delta in deltas if isinstance(delta, Logprobs) for token in delta.tokens)
    for delta in deltas:
        match delta:
            case Failed():
                return delta
            case Text() | Thinking():
                _add(parts, delta)
            case Image():
                parts.append(delta)
            case ToolStart(index, id_, name):
                places[index] = len(parts)
                parts.append(ToolCall(id_, name, "", signature=delta.signature))
            case ToolArguments(index, fragment):
                call = parts[places[index]]
                if isinstance(call, ToolCall):
                    text = call.arguments + fragment
                    parts[places[index]] = ToolCall(call.id, call.name, text, signature=call.signature)
            case Finish(reason, usage):
                return Chat(
                    model=start.model,
                    parts=tuple(parts),
                    reason=reason,
                    usage=usage or start.usage,
                    id=start.id,
                    created=start.created,
                    stop_sequence=delta.stop_sequence,
                    logprobs=likely,
                )
            case _:
                pass
    return Failed("the stream has no end")


def _add(parts: list[Part], delta: Text | Thinking) -> None:
    last = parts[-1] if parts else None
    if isinstance(delta, Text) and isinstance(last, Text):
        parts[-1] = Text(last.text + delta.text)
    elif isinstance(delta, Thinking) and isinstance(last, Thinking) and not last.signature:
        parts[-1] = Thinking(last.text + delta.text, delta.signature)
    else:
        parts.append(delta)


def said_streamed(deltas: Sequence[Delta]) -> Said:
    found = assembled(deltas)
    return Said(failed=found.message) if isinstance(found, Failed) else said_in(found)


def deltas_of(form: Form, pieces: Iterable[bytes]) -> list[Delta]:
    """What a provider of that form streamed."""
    decoder = form.stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def through(form: Form, deltas: Sequence[Delta]) -> str:
    """How a client of that form finds the same answer streamed and whole; empty if they are equal."""
    whole = assembled(deltas)
    if isinstance(whole, Failed):
        return f"the provider's stream failed: {whole.message}"
    encoder = form.stream_encoder(include_usage=True)
    streamed = said_streamed(deltas_of(form, [b"".join(map(encoder.encode, deltas))]))
    try:
        answered = said_in(form.decode_response(msgspec.json.encode(form.encode_response(whole))))
    except Unreadable as error:
        return f"the whole answer cannot be read: {error}"
    return difference(answered, streamed)


def difference(whole: Said, streamed: Said, *, same_words: bool = True) -> str:
    """What is not equal; empty if nothing is. Models do not use the same words twice, nor do they always
    think or say something beside a call: without `same_words` only which functions are called is compared,
    the reason, and whether usage is told."""
    if streamed.failed:
        return f"the stream failed: {streamed.failed}"
    for name in ("text", "thinking") if same_words else ():
        one, other = getattr(whole, name), getattr(streamed, name)
        if one != other:
            return f"{name}: {_short(one)} whole, {_short(other)} streamed"
    called: tuple[Any, Any] = (whole.calls, streamed.calls)
    if not same_words:
        called = (_names(whole), _names(streamed))
    if called[0] != called[1]:
        return f"calls: {_short(called[0])} whole, {_short(called[1])} streamed"
    if whole.reason != streamed.reason:
        return f"reason: {whole.reason} whole, {streamed.reason} streamed"
    tokens = (whole.tokens, streamed.tokens)
    if (tokens[0] != tokens[1]) if same_words else ((tokens[0] is None) != (tokens[1] is None)):
        return f"usage: {tokens[0]} whole, {tokens[1]} streamed"
    return ""


def _names(said: Said) -> list[str]:
    return sorted({name for name, _ in said.calls})


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}…"
