"""Content blocks, to and from the parts of the neutral form.
https://platform.claude.com/docs/en/api/messages/create"""

import re
from base64 import b64decode
from collections.abc import Mapping
from hashlib import blake2s
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    CacheMark,
    Document,
    Image,
    Media,
    OtherPart,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.form import Refusal, members_beyond

#: how the base64 of the kinds of pictures begins that Claude sees; a wrong kind is refused there
_PICTURES: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
}
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_PDF: Final = "application/pdf"
_PDF_START: Final = "JVBERi"
_CACHE: Final = "cache_control"
_EPHEMERAL: Final[Mapping[CacheMark, Mapping[str, str]]] = {
    "5m": {"type": "ephemeral"},
    "1h": {"type": "ephemeral", "ttl": "1h"},
}
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"type", "text", _CACHE}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
    "image": frozenset({"type", "source", _CACHE}),
    "document": frozenset({"type", "source", "title", _CACHE}),
    "tool_use": frozenset({"type", "id", "name", "input", _CACHE}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", _CACHE}),
}


class _Block(msgspec.Struct):
    """The members of any block that are read."""

    type: str
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}
    tool_use_id: str = ""
    content: str | list[dict[str, Any]] | dict[str, Any] | None = None
    is_error: bool | None = None
    source: dict[str, Any] | str | None = None
    title: str | None = None


# To the neutral form


def parts_of(content: str | list[dict[str, Any]] | None) -> tuple[Part, ...]:
    """Raises `msgspec.ValidationError` for what is no content."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple(map(_part, content or ()))


def _part(raw: dict[str, Any]) -> Part:
    block = msgspec.convert(raw, _Block)
    match block.type:
        case "text":
            extra, cache = _beyond(raw)
            return Text(block.text or "", extra, cache)
        case "thinking":
            return Thinking(block.thinking or "", block.signature or None, extra=_beyond(raw)[0])
        case "redacted_thinking":
            return Thinking("", redacted=block.data or "", extra=_beyond(raw)[0])
        case "image" | "document" if isinstance(block.source, dict):
            return _file(block, block.source, raw)
        case "tool_use":
            extra, cache = _beyond(raw)
            return ToolCall(
                block.id, block.name, msgspec.json.encode(block.input).decode(), extra, cache=cache
            )
        case "tool_result" if not isinstance(block.content, dict):
            extra, cache = _beyond(raw)
            return ToolResult(
                block.tool_use_id,
                parts_of(block.content),
                is_error=bool(block.is_error),
                cache=cache,
                extra=extra,
            )
        case kind:
            return OtherPart(kind, raw)


def _file(block: _Block, source: Mapping[str, Any], raw: Mapping[str, Any]) -> Part:
    """A picture or a document; those of Anthropic's own store, or made of blocks, stay as they are."""
    extra, cache = _beyond(raw)
    pictured = block.type == "image"
    match source:
        case {"type": "base64", "data": str(data), "media_type": str(kind)}:
            if pictured:
                return Image(data=data, media_type=kind, extra=extra, cache=cache)
            return Document(data=data, media_type=kind, name=block.title, extra=extra, cache=cache)
        case {"type": "url", "url": str(url)}:
            if pictured:
                return Image(url=url, extra=extra, cache=cache)
            return Document(url=url, name=block.title, extra=extra, cache=cache)
        case {"type": "text", "data": str(text)} if not pictured:
            return Document(text=text, name=block.title, extra=extra, cache=cache)
        case {"type": "file", "file_id": str(id_)} if not pictured:
            return Document(file_id=id_, name=block.title, extra=extra, cache=cache)
        case _:
            return OtherPart(block.type, raw)


def _beyond(raw: Mapping[str, Any]) -> tuple[dict[str, Any], CacheMark | None]:
    """What no field covers, and the mark for the cache; one of a kind unknown here is no mark."""
    extra = members_beyond(raw, _KNOWN[raw["type"]])
    mark, kept = cache_mark(raw)
    return extra | kept, mark


def cache_mark(raw: Mapping[str, Any]) -> tuple[CacheMark | None, dict[str, Any]]:
    """The mark of a block or a tool; one of a kind unknown here comes back as a member to keep."""
    match raw.get(_CACHE):
        case None:
            return None, {}
        case {"type": "ephemeral", **more} if not more or more == {"ttl": "5m"}:
            return "5m", {}
        case {"type": "ephemeral", **more} if more == {"ttl": "1h"}:
            return "1h", {}
        case other:
            return None, {_CACHE: other}


# From the neutral form


class Blocks:
    """Encodes parts. `own`: they came in this form, and go back as they were."""

    def __init__(self, ignored: list[str], *, own: bool, signed: bool) -> None:
        self._ignored = ignored
        self._own = own
        #: whether signatures of thoughts are Anthropic's
        self._signed = signed
        self._ids = _Ids(own=own)

    def of(self, parts: tuple[Part, ...], place: str) -> list[dict[str, Any]]:
        return [block for part in parts if (block := self._block(part, place)) is not None]

    def _block(self, part: Part, place: str) -> dict[str, Any] | None:
        match part:
            case Text(text):
                if not self._own and not text.strip():
                    return None  # an empty text is refused
                return {"type": "text", "text": text, **self._more(part, place)}
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return self._call(part, place)
            case ToolResult():
                return self._result(part, place)
            case Image():
                return self._image(part, place)
            case Document():
                return self._document(part, place)
            case OtherPart(kind, raw):
                if not self._own:
                    raise Refusal(f"{place}: content of type '{kind}' is not supported by Claude")
                return dict(raw)
            case Media(kind):
                raise Refusal(f"{place}: {kind} is not supported by Claude")

    def _more(self, part: Text | Image | Document | ToolCall, place: str) -> dict[str, Any]:
        """The mark for the cache, and what only this form knows. Clients of other forms that know whom
        they talk to write the mark as Anthropic does."""
        mark = {} if part.cache is None else {_CACHE: dict(_EPHEMERAL[part.cache])}
        if self._own:
            return {**part.extra, **mark}
        told, _ = cache_mark(part.extra)
        if told is not None:
            mark = {_CACHE: dict(_EPHEMERAL[told])}
        self._ignored += [f"{place}.content.{name}" for name in part.extra if name != _CACHE or told is None]
        return mark

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        """Thoughts without Anthropic's own signature are refused there; they are left out."""
        if not self._signed:
            return None
        extra = part.extra if self._own else {}
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted, **extra}
        if not part.signature:
            return None
        return {"type": "thinking", "thinking": part.text, "signature": part.signature, **extra}

    def _call(self, call: ToolCall, place: str) -> dict[str, Any]:
        arguments = arguments_in(call.arguments)
        if arguments is None:
            # A model wrote this, and the conversation must be able to go on: the tool's answer says what
            # was wrong with it.
            arguments = {}
            self._ignored.append(f"{place}.tool_calls.function.arguments")
        body = {"type": "tool_use", "id": self._ids.of_call(call.id), "name": call.name, "input": arguments}
        return body | self._more(call, place)

    def _result(self, result: ToolResult, place: str) -> dict[str, Any]:
        body: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._ids.of_result(result.call_id)}
        content = self.of(result.parts, place)
        if content:
            body["content"] = shortest(content)
        if result.is_error:
            body["is_error"] = True
        if self._own:
            body |= result.extra
        if result.cache is not None:
            body[_CACHE] = dict(_EPHEMERAL[result.cache])
        return body

    def _image(self, image: Image, place: str) -> dict[str, Any]:
        if image.detail is not None:
            self._ignored.append(f"{place}.content.image_url.detail")
        return {"type": "image", "source": self._picture(image, place), **self._more(image, place)}

    def _picture(self, image: Image, place: str) -> dict[str, Any]:
        data = image.data
        if data is None:
            return {"type": "url", "url": image.url}
        kind = image.media_type if self._own else _kind_of(data) or image.media_type
        if not self._own and kind not in _PICTURES.values():
            raise Refusal(f"{place}: pictures of the type {kind} are not supported by Claude")
        return {"type": "base64", "media_type": kind, "data": data}

    def _document(self, file: Document, place: str) -> dict[str, Any]:
        body = {"type": "document", "source": self._source(file, place)}
        if file.name is not None:
            body["title"] = file.name
        return body | self._more(file, place)

    def _source(self, file: Document, place: str) -> dict[str, Any]:
        if file.text is not None:
            return {"type": "text", "media_type": "text/plain", "data": file.text}
        if file.url is not None:
            return {"type": "url", "url": file.url}
        if file.data is not None:
            kind = _PDF if file.data.startswith(_PDF_START) else file.media_type
            if self._own or kind == _PDF:
                return {"type": "base64", "media_type": kind, "data": file.data}
            if kind is not None and kind.startswith("text/"):
                return {"type": "text", "media_type": "text/plain", "data": _text_of(file.data, place)}
            raise Refusal(f"{place}: files of the type {kind} are not supported by Claude")
        if self._own:
            return {"type": "file", "file_id": file.file_id}
        raise Refusal(f"{place}: a file must be given as data, its id is of another provider")


def _kind_of(data: str) -> str | None:
    return next((kind for start, kind in _PICTURES.items() if data.startswith(start)), None)


def _text_of(data: str, place: str) -> str:
    try:
        return b64decode(data, validate=True).decode()
    except ValueError:
        raise Refusal(f"{place}: the file is no text in base64") from None


def arguments_in(text: str) -> dict[str, Any] | None:
    """A call's arguments as the object that they must be here; `None` if they are none."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None


def shortest(blocks: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Content that is nothing but one text may be that text."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def marked(cache: CacheMark | None) -> dict[str, Any]:
    """The mark of a tool."""
    return {} if cache is None else {_CACHE: dict(_EPHEMERAL[cache])}


class _Ids:
    """Ids of calls as Anthropic takes them: letters, digits, `_` and `-`. Calls without an id get one,
    and results without one belong to them in order."""

    def __init__(self, *, own: bool) -> None:
        self._own = own
        self._open: list[str] = []
        self._count = 0

    def of_call(self, id_: str) -> str:
        if id_ or self._own:
            return self._fit(id_)
        self._count += 1
        invented = f"toolu_{self._count}"
        self._open.append(invented)
        return invented

    def of_result(self, id_: str) -> str:
        if not id_ and self._open:
            return self._open.pop(0)
        return self._fit(id_)

    def _fit(self, id_: str) -> str:
        if self._own or _ID.fullmatch(id_):
            return id_
        return f"toolu_{blake2s(id_.encode(), digest_size=12).hexdigest()}"
