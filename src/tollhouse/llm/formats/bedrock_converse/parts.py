"""Parts of messages, written as content blocks of Converse."""

import re
from base64 import b64encode
from hashlib import blake2s
from typing import Any, Final, assert_never

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
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.bedrock_converse.blocks import DOCUMENT_TYPES, IMAGE_FORMATS, VIDEO_TYPES
from tollhouse.llm.formats.bedrock_converse.redacted import written

_DOCUMENT_FORMATS: Final = {kind: name for name, kind in DOCUMENT_TYPES.items()} | {"text/x-markdown": "md"}
_VIDEO_FORMATS: Final = {kind: name for name, kind in VIDEO_TYPES.items()}
_AUDIO_FORMATS: Final = frozenset(
    {
        "mp3",
        "opus",
        "wav",
        "aac",
        "flac",
        "mp4",
        "ogg",
        "mkv",
        "mka",
        "x-aac",
        "m4a",
        "mpeg",
        "mpga",
        "pcm",
        "webm",
    }
)
_OTHER_AUDIO: Final = {"x-wav": "wav", "wave": "wav", "vnd.wave": "wav", "x-flac": "flac", "x-m4a": "m4a"}
#: how the base64 of the usual kinds of files begins; names of kinds that clients give are often wrong
_BEGINNINGS: Final = {
    "iVBOR": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
_ID: Final = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_IN_DOCUMENT_NAMES: Final = re.compile(r"[^a-zA-Z0-9()\[\]-]+")
_DOCUMENT_NAME_AT_MOST: Final = 180
_NOT_SUPPORTED: Final = "not supported by models on Bedrock"


def cache_point(mark: CacheMark) -> dict[str, Any]:
    """Five minutes are what goes without saying; not every model knows the other."""
    return {"cachePoint": {"type": "default"} | ({"ttl": mark} if mark != "5m" else {})}


def tool_name(name: str, place: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise Refusal(f"{place}: the tool's name '{name}' must be 1 to 64 of a-z, A-Z, 0-9, _ and -")
    return name


def call_id(id_: str) -> str:
    """An id that Bedrock takes; the same for a call and its result."""
    if _ID.fullmatch(id_):
        return id_
    return f"tooluse_{blake2s(id_.encode(), digest_size=16).hexdigest()}"


class PartEncoder:
    """`own` if the client speaks this form as well: then everything goes back as it came."""

    def __init__(self, *, own: bool, cache: bool, ignored: list[str]) -> None:
        self._own = own
        self._cache = cache
        self._ignored = ignored
        self._names: set[str] = set()

    def blocks(self, part: Part, place: str) -> list[dict[str, Any]]:
        """One block, none for an empty text, or two where the cache is marked."""
        block = self._block(part, place)
        blocks = [] if block is None else [block]
        mark = None if isinstance(part, Thinking | Media | OtherPart) else part.cache
        if mark is None or not blocks:
            return blocks
        if self._own or self._cache:
            return [*blocks, cache_point(mark)]
        self._ignored.append(f"{place}.cache")
        return blocks

    def _block(self, part: Part, place: str) -> dict[str, Any] | None:
        match part:
            case Text():
                return self._text(part, place)
            case Thinking():
                return self._thinking(part, place)
            case ToolCall():
                return self._call(part, place)
            case ToolResult():
                return self._result(part, place)
            case Image():
                return self._image(part, place)
            case Document():
                return self._document(part, place)
            case Media():
                return self._media(part, place)
            case OtherPart():
                if not self._own:
                    raise Refusal(f"{place}: content of type '{part.kind}' is {_NOT_SUPPORTED}")
                return dict(part.raw)
            case _:
                assert_never(part)

    def _text(self, part: Text, place: str) -> dict[str, Any] | None:
        if self._own:
            whole = "json" in part.extra or "citationsContent" in part.extra
            return dict(part.extra) if whole else {"text": part.text, **part.extra}
        self._ignored += [f"{place}.content.{name}" for name in part.extra]
        return {"text": part.text} if part.text else None

    def _thinking(self, part: Thinking, place: str) -> dict[str, Any] | None:
        if part.redacted is not None:
            return {"reasoningContent": {"redactedContent": written(part.redacted)}}
        if part.signature is None and not self._own:
            # Claude answers 400 to thoughts whose signature is missing.
            self._ignored.append(f"{place}.thinking")
            return None
        return reasoning(part)

    def _call(self, call: ToolCall, place: str) -> dict[str, Any]:
        try:
            given = msgspec.json.decode(call.arguments or "{}")
        except msgspec.DecodeError:
            given = None
        if not isinstance(given, dict) and not self._own:
            # A model wrote this, and the conversation must be able to go on: the tool's answer says what
            # was wrong with it.
            given = {}
            self._ignored.append(f"{place}.tool_calls.function.arguments")
        use = {"toolUseId": call.id, "name": call.name, "input": given}
        if self._own:
            return {"toolUse": use | dict(call.extra)}
        self._ignored += [f"{place}.tool_calls.{name}" for name in call.extra]
        return {"toolUse": use | {"toolUseId": call_id(call.id), "name": tool_name(call.name, place)}}

    def _result(self, result: ToolResult, place: str) -> dict[str, Any]:
        content = [block for part in result.parts for block in self.blocks(part, place)]
        id_ = result.call_id if self._own else call_id(result.call_id)
        body: dict[str, Any] = {"toolUseId": id_, "content": content}
        body |= {"status": "error"} if result.is_error else {}
        return {"toolResult": body | self._kept(result.extra)}

    def _image(self, image: Image, place: str) -> dict[str, Any]:
        if image.detail not in (None, "auto"):
            self._ignored.append(f"{place}.image_url.detail")
        kind = image.media_type if self._own else _told_by(image.data) or image.media_type
        name = IMAGE_FORMATS.get(kind or "")
        if name is None and image.url is not None:
            name = IMAGE_FORMATS.get(f"image/{image.url.rpartition('.')[2].lower()}")
        source = self._source(image.data, image.url, "a picture", place)
        if name is None:
            raise Refusal(f"{place}: pictures of the type '{kind}' are {_NOT_SUPPORTED}")
        return {"image": {"format": name, "source": source, **self._kept(image.extra)}}

    def _document(self, document: Document, place: str) -> dict[str, Any]:
        if document.file_id is not None:
            raise Refusal(f"{place}: files by id are {_NOT_SUPPORTED}")
        data, kind = document.data, document.media_type
        if self._own:
            name, text = document.name, document.text
        else:
            name, text = self._plain_name(document.name or "document"), None
            if document.text is not None:
                data, kind = b64encode(document.text.encode()).decode(), "text/plain"
        source = {"text": text} if text is not None else self._source(data, document.url, "a file", place)
        shown = _DOCUMENT_FORMATS.get(kind or _told_by(data) or "")
        if shown is None:
            suffix = (document.url or document.name or "").rpartition(".")[2].lower()
            shown = suffix if suffix in DOCUMENT_TYPES else None
        if shown is None and not self._own:
            raise Refusal(f"{place}: files of the type '{kind}' are {_NOT_SUPPORTED}")
        given = {"format": shown, "name": name}
        members = {member: value for member, value in given.items() if value is not None}
        return {"document": {**members, "source": source, **self._kept(document.extra)}}

    def _plain_name(self, name: str) -> str:
        """No two documents may have the same, and few characters are allowed."""
        stem = _NOT_IN_DOCUMENT_NAMES.sub(" ", name).strip()[:_DOCUMENT_NAME_AT_MOST] or "document"
        plain, number = stem, 1
        while plain in self._names:
            number += 1
            plain = f"{stem} {number}"
        self._names.add(plain)
        return plain

    def _media(self, media: Media, place: str) -> dict[str, Any]:
        kind = (media.media_type or "").lower()
        if media.kind == "audio":
            short = kind.removeprefix("audio/").partition(";")[0]
            name = short if short in _AUDIO_FORMATS else _OTHER_AUDIO.get(short)
        else:
            name = _VIDEO_FORMATS.get(kind)
        source = self._source(media.data, media.url, "sound or film", place)
        if name is None:
            raise Refusal(f"{place}: {media.kind} of the type '{kind}' is {_NOT_SUPPORTED}")
        return {media.kind: {"format": name, "source": source, **self._kept(media.extra)}}

    def _source(self, data: str | None, url: str | None, what: str, place: str) -> dict[str, Any]:
        if data is not None:
            return {"bytes": data}
        if url is not None and url.startswith("s3://"):
            return {"s3Location": {"uri": url}}
        raise Refusal(f"{place}: {what} must be given as data, its address is not fetched for Bedrock")

    def _kept(self, extra: Any) -> dict[str, Any]:
        """Members that no field covers mean something only in the form they came in."""
        return dict(extra) if self._own else {}


def reasoning(part: Thinking) -> dict[str, Any]:
    if part.redacted is not None:
        return {"reasoningContent": {"redactedContent": written(part.redacted)}}
    text = {"text": part.text} | ({} if part.signature is None else {"signature": part.signature})
    return {"reasoningContent": {"reasoningText": text}}


def _told_by(data: str | None) -> str | None:
    """The type of a file by how it begins."""
    return next((kind for start, kind in _BEGINNINGS.items() if (data or "").startswith(start)), None)
