"""Items of a conversation, for a provider."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollhouse.llm.chat import (
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
from tollhouse.llm.data_urls import data_url, url_of
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_responses.response import summary_piece

#: of pieces that are no more than their text
_TEXT_ONLY: Final = frozenset({"type", "text"})


def encode_message(
    message: Message, place: str, *, own: bool, ignored: list[str]
) -> Iterator[dict[str, Any]]:
    """A message as items. `own`: it came in this form, so that members beyond the neutral form stay."""
    if message.role == "tool":
        for part in message.parts:
            if isinstance(part, ToolResult):
                output = _content(part.parts, place, "input_text", own=own)
                yield {
                    "type": "function_call_output",
                    "call_id": part.call_id,
                    "output": output,
                    **_kept(message.extra, own=own),
                }
    elif message.role == "assistant":
        yield from _turn(message.parts, place, own=own, ignored=ignored)
    else:
        content = _content(message.parts, place, "input_text", own=own)
        yield {"role": message.role, "content": content, **_kept(message.extra, own=own)}


def _kept(extra: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    return dict(extra) if own else {}


def _turn(parts: tuple[Part, ...], place: str, *, own: bool, ignored: list[str]) -> Iterator[dict[str, Any]]:
    """What a model did, in its order; what it said at a stretch is one item."""
    said: list[Part] = []
    for part in parts:
        if said and (not isinstance(part, Text) or _item_of(part) != _item_of(said[-1])):
            yield _said(said, place, own=own)
            said = []
        match part:
            case Thinking():
                thought = _thought(part, own=own)
                if thought is None:
                    ignored.append(f"{place}.thinking")
                else:
                    yield thought
            case ToolCall(extra=raw, kind="custom" | "local_shell") if own:
                yield dict(raw)
            case ToolCall(id_, name, arguments, extra):
                call = {"type": "function_call", "call_id": id_, "name": name, "arguments": arguments}
                yield call | _kept(extra, own=own)
            case OtherPart(_, raw) if own:
                yield dict(raw)
            case _:
                said.append(part)
    if said:
        yield _said(said, place, own=own)


def _item_of(part: Part) -> Any:
    return part.extra.get("item") if isinstance(part, Text) else None


def _said(said: list[Part], place: str, *, own: bool) -> dict[str, Any]:
    item = _item_of(said[0]) if own else None
    content = _content(tuple(said), place, "output_text", own=own)
    if not item:
        return {"role": "assistant", "content": content}
    # Items that have an id are no plain messages, and their content is always a list.
    pieces = [_text_piece(content, "output_text")] if isinstance(content, str) else content
    return {"type": "message", "role": "assistant", "content": pieces, **item}


def _thought(thinking: Thinking, *, own: bool) -> dict[str, Any] | None:
    """Thought without a proof is refused by those who make it, and means nothing to them."""
    proof = thinking.signature or thinking.redacted
    if own:
        return {"type": "reasoning", **thinking.extra, **({"encrypted_content": proof} if proof else {})}
    if proof is None:
        return None
    summary = [summary_piece(thinking.text)] if thinking.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": proof}


def _content(parts: tuple[Part, ...], place: str, kind: str, *, own: bool) -> str | list[dict[str, Any]]:
    pieces = [_piece(part, place, kind, own=own) for part in parts]
    if not pieces:
        return ""
    if len(pieces) == 1 and pieces[0].keys() == _TEXT_ONLY:
        return str(pieces[0]["text"])
    return pieces


def _text_piece(text: str, kind: str) -> dict[str, Any]:
    return {"type": kind, "text": text}


def _piece(part: Part, place: str, kind: str, *, own: bool) -> dict[str, Any]:
    match part:
        case Text(text, {"type": "refusal"}) if own:
            return {"type": "refusal", "refusal": text}
        case Text(text, extra):
            kept = {name: value for name, value in _kept(extra, own=own).items() if name != "item"}
            return _text_piece(text, kind) | kept
        case Image():
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "input_image", "image_url": url_of(part), **detail, **_kept(part.extra, own=own)}
        case Document():
            return {"type": "input_file", **_file(part, own=own), **_kept(part.extra, own=own)}
        case Media("audio", str(data), str(media_type)):
            sound = {"data": data, "format": media_type.removeprefix("audio/")}
            return {"type": "input_audio", "input_audio": sound}
        case OtherPart(_, raw) if own:
            return dict(raw)
        case _:
            name = part.kind if isinstance(part, OtherPart | Media) else type(part).__name__
            raise Refusal(f"{place}: content of type '{name}' is not supported by this model's provider")


def _file(file: Document, *, own: bool) -> dict[str, Any]:
    if file.file_id is not None and own:
        return {"file_id": file.file_id}
    if file.url is not None:
        return {"file_url": file.url}
    data, media_type = file.data, file.media_type
    if file.text is not None:
        data, media_type = b64encode(file.text.encode()).decode(), "text/plain"
    if data is None:
        raise Refusal("a file that is stored at one provider is not known to another")
    content = data_url(media_type, data) if media_type else data
    name = file.name if own else file.name or "document"
    return {"file_data": content} if name is None else {"filename": name, "file_data": content}
