"""Content blocks of Converse, read into parts. A block is a union: an object with one member."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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
from tollhouse.llm.form import members_beyond
from tollhouse.llm.formats.bedrock_converse.redacted import read

IMAGE_TYPES: Final = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
IMAGE_FORMATS: Final = {kind: name for name, kind in IMAGE_TYPES.items()} | {"image/jpg": "jpeg"}
DOCUMENT_TYPES: Final = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
VIDEO_TYPES: Final = {
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "flv": "video/x-flv",
    "mpeg": "video/mpeg",
    "mpg": "video/mpg",
    "wmv": "video/x-ms-wmv",
    "three_gp": "video/3gpp",
}
_FILES: Final = frozenset({"image", "document", "video", "audio"})
_KNOWN_OF_FILE: Final = frozenset({"format", "source", "name"})
_KNOWN_OF_CALL: Final = frozenset({"toolUseId", "name", "input"})
_KNOWN_OF_RESULT: Final = frozenset({"toolUseId", "content"})


class _S3(msgspec.Struct, forbid_unknown_fields=True):
    uri: str


class _Source(msgspec.Struct, forbid_unknown_fields=True):
    bytes: str | None = None
    text: str | None = None
    s3Location: _S3 | None = None


class _File(msgspec.Struct):
    source: _Source
    format: str = ""
    name: str | None = None


class _ToolUse(msgspec.Struct):
    toolUseId: str
    name: str
    input: Any = {}


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct):
    reasoningText: _ReasoningText | None = None
    redactedContent: str | None = None


class _Said(msgspec.Struct):
    text: str = ""


class _Citations(msgspec.Struct):
    content: list[_Said] = []


class _ToolResult(msgspec.Struct):
    toolUseId: str
    content: list[Any] = []
    status: str | None = None


def parts_of(blocks: Iterable[Mapping[str, Any]]) -> list[Part]:
    """The parts of a message; a mark of the cache belongs to the part before it. What no part can
    express is kept as it came. Raises `msgspec.ValidationError`."""
    parts: list[Part] = []
    for block in blocks:
        last = parts[-1] if parts else None
        mark = cache_mark(block)
        if mark is not None and isinstance(last, Text | Image | Document | ToolCall | ToolResult):
            parts[-1] = replace(last, cache=mark)
        else:
            parts.append(_part(block))
    return parts


def cache_mark(block: Mapping[str, Any]) -> CacheMark | None:
    """What an element marks for the cache; `None` if it is another one, or younger than this file."""
    match block:
        case {"cachePoint": {"type": "default", **more}} if len(block) == 1 and more.keys() <= {"ttl"}:
            ttl = more.get("ttl") or "5m"
            return ttl if ttl in ("5m", "1h") else None
        case _:
            return None


def _part(block: Mapping[str, Any]) -> Part:
    match block:
        case {"text": text, **extra}:
            return Text(msgspec.convert(text, str), extra)
        case _ if len(block) != 1:
            return OtherPart(next(iter(block), ""), block)
        case {"toolUse": raw}:
            return _call(raw, block)
        case {"toolResult": raw}:
            return _result(raw, block)
        case {"reasoningContent": raw}:
            return _thinking(raw, block)
        case {"citationsContent": raw}:
            said = msgspec.convert(raw, _Citations).content
            return Text("".join(piece.text for piece in said), block)
        case _:
            kind, raw = next(iter(block.items()))
            return _file(kind, raw, block) if kind in _FILES else OtherPart(kind, block)


def _call(raw: Any, block: Mapping[str, Any]) -> Part:
    call = msgspec.convert(raw, _ToolUse)
    if raw.get("type") is not None:
        return OtherPart("toolUse", block)  # of a tool that runs at the provider
    arguments = msgspec.json.encode(call.input).decode()
    return ToolCall(call.toolUseId, call.name, arguments, members_beyond(raw, _KNOWN_OF_CALL))


def _result(raw: Any, block: Mapping[str, Any]) -> Part:
    result = msgspec.convert(raw, _ToolResult)
    if raw.get("type") is not None:
        return OtherPart("toolResult", block)  # of a tool that ran at the provider
    parts = tuple(map(_told, result.content))
    extra = members_beyond(raw, _KNOWN_OF_RESULT)
    if is_error := result.status == "error":
        del extra["status"]
    return ToolResult(result.toolUseId, parts, is_error=is_error, extra=extra)


def _told(block: Any) -> Part:
    """A piece of a tool's answer. An object is text for whoever cannot read it otherwise."""
    if isinstance(block, dict) and block.keys() == {"json"}:
        return Text(msgspec.json.encode(block["json"]).decode(), block)
    return _part(msgspec.convert(block, dict[str, Any]))


def _thinking(raw: Any, block: Mapping[str, Any]) -> Part:
    thought = msgspec.convert(raw, _Reasoning)
    if thought.reasoningText is not None:
        return Thinking(thought.reasoningText.text, thought.reasoningText.signature)
    if thought.redactedContent is not None:
        return Thinking("", redacted=read(thought.redactedContent))
    return OtherPart("reasoningContent", block)


def _file(kind: str, raw: Any, block: Mapping[str, Any]) -> Part:
    try:
        file = msgspec.convert(raw, _File)
    except msgspec.ValidationError:
        # Sources and formats that are younger than this file are for Bedrock alone to judge.
        return OtherPart(kind, block)
    source, extra = file.source, members_beyond(raw, _KNOWN_OF_FILE)
    url = None if source.s3Location is None else source.s3Location.uri
    match kind:
        case _ if source.bytes is None and url is None and source.text is None:
            return OtherPart(kind, block)
        case "image" if file.format in IMAGE_TYPES:
            return Image(url, source.bytes, IMAGE_TYPES[file.format], extra=extra)
        case "document" if not file.format or file.format in DOCUMENT_TYPES:
            media_type = DOCUMENT_TYPES.get(file.format)
            return Document(source.bytes, media_type, url, source.text, name=file.name, extra=extra)
        case "video" if file.format in VIDEO_TYPES:
            return Media("video", source.bytes, VIDEO_TYPES[file.format], url, extra)
        case "audio" if file.format:
            return Media("audio", source.bytes, f"audio/{file.format}", url, extra)
        case _:
            return OtherPart(kind, block)


def grouped(parts: Sequence[Part]) -> list[tuple[bool, tuple[Part, ...]]]:
    """The parts cut where results of tools begin and end; first whether they are such."""
    groups: list[tuple[bool, list[Part]]] = []
    for part in parts:
        is_result = isinstance(part, ToolResult)
        if not groups or groups[-1][0] != is_result:
            groups.append((is_result, []))
        groups[-1][1].append(part)
    return [(is_result, tuple(group)) for is_result, group in groups]
