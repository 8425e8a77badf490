"""Turns of a conversation for a provider: https://ai.google.dev/api/caching#Content

Turns of one role are joined, results of functions stand in a turn of the user's, and what a system says
after the conversation has begun becomes a part of that as well.
"""

from base64 import b64encode
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Media,
    Message,
    OtherPart,
    Part,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from tollhouse.llm.families import gemini as family
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.gemini.response import SIGNATURE, thought

NOT_SUPPORTED: Final = "not supported by Gemini models"
_ROLES: Final = {"system": "user", "user": "user", "assistant": "model", "tool": "user"}
#: how extra members of what is in a part are named, so that they do not pass for the part's own
INLINE: Final = "inlineData."
FILE: Final = "fileData."
CALL: Final = "functionCall."
#: media types by how addresses end; Vertex wants to be told
_MEDIA_TYPES: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "mp4": "video/mp4",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
}
_RESULT: Final = "functionResponse"


class Contents:
    """Builds `contents` and `systemInstruction`. `ignored` is told what cannot be said."""

    def __init__(self, chat: ChatRequest, own: bool, ignored: list[str]) -> None:
        self._chat = chat
        self._own = own
        self._ignored = ignored
        #: the names of the calls by id: results are told by name
        self._names: dict[str, str] = {}
        self.system: list[dict[str, Any]] = []
        self.turns: list[dict[str, Any]] = []
        #: how closely pictures shall be looked at
        self.details: set[str] = set()
        for place, message in enumerate(chat.messages):
            self._add(message, f"messages[{place}]")
        if not own:
            self._begin()

    def _add(self, message: Message, place: str) -> None:
        self._ignored += [f"{place}.{name}" for name in message.extra]
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            self._part(part, place, parts)
        if message.role == "system" and not self.turns:
            self.system += parts
            return
        role = _ROLES[message.role]
        if role == "model":
            self._sign(parts)
        if self.turns and self.turns[-1]["role"] == role:
            self.turns[-1]["parts"] += parts
        elif parts:
            self.turns.append({"role": role, "parts": parts})

    def _begin(self) -> None:
        """A conversation begins with the user, and has more than instructions."""
        if not self.turns:
            self.turns, self.system = [{"role": "user", "parts": self.system or [{"text": " "}]}], []
        elif self.turns[0]["role"] == "model":
            self.turns.insert(0, {"role": "user", "parts": [{"text": " "}]})
        for turn in self.turns:
            _put_together(turn["parts"])

    def _sign(self, parts: list[dict[str, Any]]) -> None:
        """Newer models refuse a turn whose first call has no signature: it is lost with clients that
        drop what they do not know, and other models never had one."""
        if self._own or not family.wants_signatures(self._chat.model):
            return
        first = next((part for part in parts if "functionCall" in part), None)
        if first is not None:
            first.setdefault(SIGNATURE, family.UNSIGNED)

    def _part(self, part: Part, place: str, parts: list[dict[str, Any]]) -> None:
        match part:
            case Text(text, extra):
                if text or self._own:
                    parts.append({"text": text, **self._kept(extra, f"{place}.content")})
            case Thinking(text, signature, _, extra):
                if part.redacted is not None:
                    self._ignored.append(f"{place}.content.redacted_thinking")
                elif text or signature:
                    parts.append(thought(text, signature) | self._kept(extra, f"{place}.content"))
            case Image(url, data, media_type, detail, extra):
                if detail is not None:
                    self.details.add(detail)
                parts.append(self._file(url, data, media_type or "image/jpeg", extra, place))
            case Media(_, data, media_type, url, extra):
                parts.append(self._file(url, data, media_type, extra, place))
            case Document():
                parts.append(self._document(part, place))
            case ToolCall():
                self._names[part.id] = part.name
                parts.append(self._call(part, place))
            case ToolResult():
                self._result(part, place, parts)
            case OtherPart(_, raw) if self._own:
                parts.append(dict(raw))
            case OtherPart(kind):
                raise Refusal(f"{place}: content of type '{kind}' is {NOT_SUPPORTED}")
        if getattr(part, "cache", None) is not None:
            self._ignored.append("cache_control")

    def _kept(self, extra: Any, place: str) -> dict[str, Any]:
        """Members that no field covers mean something only in the form they came in."""
        if self._own or not extra:
            return dict(extra)
        self._ignored += [f"{place}.{name}" for name in extra]
        return {}

    def _file(
        self, url: str | None, data: str | None, media_type: str | None, extra: Any, place: str
    ) -> dict[str, Any]:
        name, inner = (INLINE, {"data": data}) if data is not None else (FILE, {"fileUri": url})
        kind = media_type if data is not None or self._own else _media_type(url or "") or media_type
        if kind:
            inner["mimeType"] = kind
        part: dict[str, Any] = {name[:-1]: inner}
        for key, value in self._kept(extra, f"{place}.content").items():
            (inner if key.startswith(name) else part)[key.removeprefix(name)] = value
        return part

    def _document(self, file: Document, place: str) -> dict[str, Any]:
        if file.file_id is not None:
            raise Refusal(f"{place}: files by their id are {NOT_SUPPORTED}")
        if file.text is not None:
            data = b64encode(file.text.encode()).decode()
            return self._file(None, data, "text/plain", file.extra, place)
        kind = file.media_type or (None if self._own else "application/pdf")
        return self._file(file.url, file.data, kind, file.extra, place)

    def _call(self, call: ToolCall, place: str) -> dict[str, Any]:
        try:
            arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
        except msgspec.DecodeError:
            # A model wrote this, and the conversation must be able to go on: the tool's answer says
            # what was wrong with it.
            arguments = {}
            self._ignored.append(f"{place}.tool_calls.function.arguments")
        inner: dict[str, Any] = {"id": call.id} if call.id else {}
        inner |= {"name": call.name, "args": arguments}
        part: dict[str, Any] = {"functionCall": inner}
        if self._own:
            for key, value in call.extra.items():
                (inner if key.startswith(CALL) else part)[key.removeprefix(CALL)] = value
        if call.signature is not None:
            part[SIGNATURE] = call.signature
        return part

    def _result(self, result: ToolResult, place: str, parts: list[dict[str, Any]]) -> None:
        """A result is an object. Whatever else a tool said stands in one under a name of ours."""
        text = "".join(part.text for part in result.parts if isinstance(part, Text))
        inner: dict[str, Any] = {"id": result.call_id} if result.call_id else {}
        inner["name"] = result.name or self._names.get(result.call_id, "")
        if not inner["name"]:
            raise Refusal(f"{place}: the result of a call that is not in the conversation")
        inner["response"] = {"error": text} if result.is_error else _object(text)
        others: list[dict[str, Any]] = []
        for part in result.parts:
            if not isinstance(part, Text):
                self._part(part, place, others)
        if self._own:
            inner |= result.extra
        parts.append({_RESULT: inner})
        if others and (self._own or family.reads_pictures_in_results(self._chat.model)):
            inner["parts"] = others
        else:
            parts += others


def _put_together(parts: list[dict[str, Any]]) -> None:
    """Results of tools stand together, before the pictures among them and what the user says then."""
    first = next((place for place, part in enumerate(parts) if _RESULT in part), None)
    if first is not None:
        parts[first:] = sorted(parts[first:], key=lambda part: _RESULT not in part)


def _object(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return {"result": text}


def _media_type(url: str) -> str | None:
    path = url.partition("?")[0]
    return _MEDIA_TYPES.get(path.rpartition(".")[2].lower())
