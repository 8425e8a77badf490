"""The form in the middle: a chat request, its answer, and the pieces of a streamed answer.

Every wire form is decoded into these and encoded from them. What a form says that stands in no other
is kept in `extra`, under its own name, so that the encoder of the other side must decide what becomes
of it: nothing is lost by accident.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from tollhouse.pdk.usage import Usage

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Reason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
Effort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
#: what a client calls a tool that is a function to every other form: OpenAI's tools with free text, and
#: the shell of its coding agents
ToolKind: TypeAlias = Literal["function", "custom", "local_shell"]
#: how long a provider shall keep what stands before the mark in its prompt cache
CacheMark: TypeAlias = Literal["5m", "1h"]
#: what became of a call that failed; each form has its own status and words for it
Trouble: TypeAlias = Literal[
    "invalid_request",
    "context_length",
    "upstream_auth",
    "auth",
    "permission",
    "not_found",
    "too_large",
    "rate_limit",
    "quota",
    "overloaded",
    "timeout",
    "content_filter",
    "upstream_error",
]


# Parts of messages; the first two are pieces of streams as well.


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought aloud before it answered.

    `signature` proves to its maker that it is unchanged; in a stream it may come as a piece of its own,
    without text. `redacted` is thought that only its maker can read, in place of a text.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: either a `url` or base64 `data` of a `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A file to read: base64 `data` of a `media_type`, a `url`, plain `text`, or an id at one provider."""

    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    text: str | None = None
    file_id: str | None = None
    name: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    cache: CacheMark | None = None


@dataclass(frozen=True, slots=True)
class Media:
    """Sound or film: base64 `data` of a `media_type` such as audio/wav, or a `url`."""

    kind: Literal["audio", "video"]
    data: str | None = None
    media_type: str | None = None
    url: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is JSON as the model wrote it, which may be empty or broken. `signature` is of the
    thought that led to the call, where the form has it on the call."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    signature: str | None = None
    cache: CacheMark | None = None
    #: how the client calls the tool; `arguments` are those of a function all the same
    kind: ToolKind = "function"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call. `name` is empty where the form tells only the call's id."""

    call_id: str
    parts: "tuple[Part, ...]"
    name: str = ""
    is_error: bool = False
    cache: CacheMark | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A part that only its own form can express, as it came: results of hosted tools, containers."""

    kind: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Citation:
    """The page that the text before it is from; a piece of streams as well. `text` is what stands there."""

    url: str
    title: str = ""
    text: str = ""


Part: TypeAlias = Text | Thinking | Image | Document | Media | ToolCall | ToolResult | OtherPart
#: answers have these as well
AnswerPart: TypeAlias = Part | Citation


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. Results of tools have the role `tool` and nothing but `ToolResult` parts."""

    role: Role
    parts: tuple[Part, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)


# The rest of a request


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    cache: CacheMark | None = None
    #: what it is to the client, which shall get calls of that kind
    kind: ToolKind = "function"


@dataclass(frozen=True, slots=True)
class OtherTool:
    """A tool that only its own form knows, as it came: hosted search, custom grammars."""

    kind: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`one` names the function that must be called; `other` is only for its own form, and for others
    what it comes to if they are sent no more tools than those `allowed`, where it says `instead`."""

    mode: Literal["auto", "none", "required", "one", "other"]
    name: str = ""
    raw: Any = None
    instead: Literal["auto", "required"] | None = None
    #: the names of the tools that may be called; empty for all
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """`schema` is a JSON Schema, for the kind `json_schema`; `extra` its name and strictness."""

    kind: Literal["text", "json_object", "json_schema"]
    schema: Any = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to sample. `None` leaves it to the provider: no default is ever made up here."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """`extra`, here and in its parts, has the members that no field covers, by their names in `form`."""

    #: the form the client speaks
    form: str
    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    options: Options = field(default_factory=Options)
    tools: tuple[Tool | OtherTool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    effort: Effort | None = None
    #: most tokens to think with, where a client counts them instead of naming an effort; 0: do not think
    thinking_tokens: int | None = None
    #: whether the client wants to see thoughts
    show_thinking: bool | None = None
    #: an opaque name of the end user
    user: str | None = None
    #: whether a streamed answer shall tell its usage; answers that are not streamed always do
    include_usage: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    #: those of `extra` without which the answer would be another one, and which no other form has: a
    #: conversation that the provider keeps, for instance. Whoever translates must refuse them.
    own_only: tuple[str, ...] = ()


# Answers


@dataclass(frozen=True, slots=True)
class Likely:
    """A token of an answer and the logarithm of how likely it was, and `others` that were likely there."""

    token: str
    logprob: float
    others: "tuple[Likely, ...]" = ()
    #: what it stands for, where that is not its text: a piece of a character
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A whole answer. `created` is in seconds since the epoch; `None` and empty texts: not told."""

    model: str
    parts: tuple[AnswerPart, ...]
    reason: Reason
    usage: Usage | None = None
    id: str = ""
    created: int | None = None
    #: which stop sequence ended it, where the form tells; empty where it tells only that one did
    stop_sequence: str | None = None
    #: how likely each of its tokens was, if that was asked for
    logprobs: tuple[Likely, ...] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """Opens a streamed answer."""

    model: str
    id: str = ""
    created: int | None = None
    #: what is known of it already: some forms tell a client the prompt's tokens first
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A call begins. `index` counts the calls of the answer from 0, whatever else is between them."""

    index: int
    id: str
    name: str
    signature: str | None = None
    kind: ToolKind = "function"


@dataclass(frozen=True, slots=True)
class ToolArguments:
    """More of the arguments of the call with that index."""

    index: int
    fragment: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete; usage is told here at the latest."""

    reason: Reason
    usage: Usage | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Unshown:
    """A piece that only its own form can express, by what it is called there."""

    kind: str


@dataclass(frozen=True, slots=True)
class Logprobs:
    """How likely the tokens of the text were that comes next."""

    tokens: tuple[Likely, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    """Nothing yet, but the provider is still at it."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream broke off: what came before is not a whole answer, but may have to be paid for."""

    message: str
    trouble: Trouble = "upstream_error"
    usage: Usage | None = None
    #: it is not the provider who says so: what it sent cannot be read on
    unread: bool = field(default=False, compare=False)


Delta: TypeAlias = (
    Start
    | Text
    | Thinking
    | Citation
    | Image
    | Logprobs
    | Unshown
    | ToolStart
    | ToolArguments
    | Finish
    | Ping
    | Failed
)
