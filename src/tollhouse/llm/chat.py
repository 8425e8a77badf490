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


# Parts of messages; the first two are pieces of streams as well.


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thinking:
    """What a model thought aloud before it answered."""

    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: either a `url` or base64 `data` of a `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """`arguments` is JSON as the model wrote it, which may be empty or broken."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call. `name` is empty where the form tells only the call's id."""

    call_id: str
    parts: "tuple[Part, ...]"
    name: str = ""


@dataclass(frozen=True, slots=True)
class OtherPart:
    """A part that only its own form can express, as it came: audio, files, video."""

    kind: str
    raw: Mapping[str, Any]


Part: TypeAlias = Text | Thinking | Image | ToolCall | ToolResult | OtherPart


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


@dataclass(frozen=True, slots=True)
class OtherTool:
    """A tool that only its own form knows, as it came: hosted search, custom grammars."""

    kind: str
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """`one` names the function that must be called; `other` is only for its own form."""

    mode: Literal["auto", "none", "required", "one", "other"]
    name: str = ""
    raw: Any = None


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
    #: whether a streamed answer shall tell its usage; answers that are not streamed always do
    include_usage: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


# Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A whole answer. `created` is in seconds since the epoch; `None` and empty texts: not told."""

    model: str
    parts: tuple[Part, ...]
    reason: Reason
    usage: Usage | None = None
    id: str = ""
    created: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Opens a streamed answer."""

    model: str
    id: str = ""
    created: int | None = None


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A call begins. `index` counts the calls of the answer from 0, whatever else is between them."""

    index: int
    id: str
    name: str


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


@dataclass(frozen=True, slots=True)
class Failed:
    """The stream broke off: what came before is not a whole answer."""

    message: str


Delta: TypeAlias = Start | Text | Thinking | ToolStart | ToolArguments | Finish | Failed
