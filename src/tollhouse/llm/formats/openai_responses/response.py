"""Whole responses, to and from the neutral form.

An answer is a list of items: reasoning, messages, calls of functions, and calls of hosted tools, which
only this form knows. There is no reason for its end, it is read from the status and the items.
https://platform.openai.com/docs/api-reference/responses/object
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    AnswerPart,
    Chat,
    Citation,
    Image,
    Likely,
    OtherPart,
    Reason,
    Text,
    Thinking,
    ToolCall,
    ToolKind,
)
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.openai_responses.agents import agent_call
from tollhouse.llm.formats.openai_responses.usage import Counts, shown
from tollhouse.llm.logprobs import likely_in
from tollhouse.llm.logprobs import shown as shown_logprobs
from tollhouse.pdk.usage import Usage

#: between the parts of one summary
PARAGRAPH: Final = "\n\n"
PICTURE: Final = "image_generation_call"
_CUT: Final[dict[str, Reason]] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_SHOWN_CUT: Final[dict[Reason, str]] = {reason: name for name, reason in _CUT.items()}


class Piece(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[dict[str, Any]] | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"")


class Item(msgspec.Struct):
    """Members of the kinds of items that other forms know as well."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    encrypted_content: str | None = None
    summary: list[Piece] | None = None
    content: list[Piece] | None = None
    #: of a picture, in base64, and its format
    result: str | None = None
    output_format: str | None = None

    def picture(self) -> Image | None:
        """What was drawn."""
        if not self.result:
            return None
        return Image(data=self.result, media_type=f"image/{self.output_format or 'png'}")

    def thought(self) -> Thinking | None:
        """What was thought aloud: OpenAI tells a summary of it, open models all."""
        pieces = (*(self.summary or ()), *(self.content or ()))
        text = PARAGRAPH.join(piece.text for piece in pieces if piece.text)
        if text:
            return Thinking(text, self.encrypted_content)
        return Thinking("", redacted=self.encrypted_content) if self.encrypted_content else None

    def texts(self) -> list[Text | Citation | OtherPart]:
        """What was said, each piece with the pages that it is from."""
        found: list[Text | Citation | OtherPart] = []
        for piece in self.content or ():
            if text := piece.text or piece.refusal:
                found.append(Text(text))
            found += map(cited, piece.annotations or ())
        return found

    def likely(self) -> tuple[Likely, ...]:
        """How likely the tokens of what was said were."""
        return tuple(token for piece in self.content or () for token in likely_in(piece.logprobs))


class _Kind(msgspec.Struct):
    type: str = ""


class _Why(msgspec.Struct):
    reason: str | None = None


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None


class Head(msgspec.Struct):
    """A response without its items."""

    id: str | None = None
    model: str | None = None
    created_at: float | None = None
    status: str | None = None
    incomplete_details: _Why | None = None
    error: _Error | None = None
    usage: Counts | None = None

    @property
    def created(self) -> int | None:
        return None if self.created_at is None else int(self.created_at)

    def reason(self, *, calls: bool) -> Reason:
        """A response that was cut may end in a call that is not whole, so that goes first."""
        why = self.incomplete_details
        if self.status == "incomplete" or (why is not None and why.reason):
            return _CUT.get((why and why.reason) or "", "length")
        return "tool_calls" if calls else "stop"


class _Response(Head):
    output: list[msgspec.Raw] | None = None


def cited(note: dict[str, Any]) -> Citation | OtherPart:
    """What an annotation says of a page; of files only their owner knows."""
    match note:
        case {"url": str(url)}:
            return Citation(url, str(note.get("title") or ""))
        case _:
            return OtherPart("annotations", note)


_kind: Final = msgspec.json.Decoder(_Kind).decode
read_item: Final = msgspec.json.Decoder(Item).decode
_read_response: Final = msgspec.json.Decoder(_Response).decode


def kind_of(raw: msgspec.Raw) -> str:
    """Items of hosted tools use the same names for members of other types, so the kind is read first."""
    return _kind(raw).type


def decode_response(body: bytes) -> Chat:
    try:
        response = _read_response(body)
        parts = tuple(part for raw in response.output or () for part in _parts(raw))
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    if response.error is not None or response.status == "failed":
        told = response.error and response.error.message
        raise Unreadable(told or "the provider failed to answer")
    if response.output is None or response.status in ("queued", "in_progress", "cancelled"):
        raise Unreadable(f"the provider's response is not complete but {response.status or 'no response'}")
    calls = any(isinstance(part, ToolCall) for part in parts)
    said = (read_item(raw) for raw in response.output if kind_of(raw) == "message")
    return Chat(
        model=response.model or "",
        parts=parts,
        reason=response.reason(calls=calls),
        usage=response.usage.usage() if response.usage else None,
        id=response.id or "",
        created=response.created,
        logprobs=tuple(token for item in said for token in item.likely()),
    )


def _parts(raw: msgspec.Raw) -> Sequence[AnswerPart]:
    kind = kind_of(raw)
    if kind == "message":
        return read_item(raw).texts()
    if kind == "function_call":
        item = read_item(raw)
        return [ToolCall(item.call_id or item.id or "", item.name or "", item.arguments or "")]
    if kind == "reasoning":
        thought = read_item(raw).thought()
        return [] if thought is None else [thought]
    if kind == PICTURE and (picture := read_item(raw).picture()) is not None:
        return [picture]
    return [OtherPart(kind, msgspec.json.decode(raw))]


# For a client


def encode_response(chat: Chat) -> dict[str, Any]:
    stem = chat.id.removeprefix("resp_")
    output: list[dict[str, Any]] = []
    likely = chat.logprobs  # of all texts together: they stand beside the first
    for part in chat.parts:
        place = len(output)
        match part:
            case Text(text) if output and output[-1]["type"] == "message":
                output[-1]["content"].append(text_piece(text))
            case Text(text):
                output.append(message_item(f"msg_{stem}_{place}", [text_piece(text, (), likely)]))
                likely = ()
            case Thinking(text, signature, redacted):
                output.append(reasoning_item(f"rs_{stem}_{place}", text, signature or redacted))
            case ToolCall(id_, name, arguments):
                item_id = f"fc_{stem}_{place}"
                output.append(call_item(item_id, id_ or item_id, name, arguments, kind=part.kind))
            case Image(data=str()):
                output.append(picture_item(f"ig_{stem}_{place}", part))
            case Citation() if output and output[-1]["type"] == "message":
                piece = output[-1]["content"][-1]
                piece["annotations"].append(annotation(part, 0, len(piece["text"])))
            case _:
                pass  # what another form's hosted tools did has no place here
    head = response_head(chat.id, chat.model, chat.created)
    return head | response_end(chat.reason, output, chat.usage)


def text_piece(
    text: str, annotations: Sequence[dict[str, Any]] = (), likely: Sequence[Likely] = ()
) -> dict[str, Any]:
    return {
        "type": "output_text",
        "text": text,
        "annotations": list(annotations),
        "logprobs": shown_logprobs(likely),
    }


def annotation(citation: Citation, start: int, end: int) -> dict[str, Any]:
    """Characters `start` to `end` of a piece of text are from that page."""
    place = {"start_index": start, "end_index": end}
    return {"type": "url_citation", "url": citation.url, "title": citation.title, **place}


def message_item(id_: str, content: list[dict[str, Any]], status: str = "completed") -> dict[str, Any]:
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning_item(id_: str, text: str, encrypted: str | None) -> dict[str, Any]:
    item: dict[str, Any] = {"id": id_, "type": "reasoning", "summary": [summary_piece(text)] if text else []}
    return item | {"encrypted_content": encrypted} if encrypted else item


def picture_item(id_: str, image: Image, status: str = "completed") -> dict[str, Any]:
    """A picture as if a tool had drawn it, which is how this form has them."""
    name = (image.media_type or "image/png").removeprefix("image/")
    return {"id": id_, "type": PICTURE, "status": status, "output_format": name, "result": image.data}


def summary_piece(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def call_item(
    id_: str,
    call_id: str,
    name: str,
    arguments: str,
    status: str = "completed",
    kind: ToolKind = "function",
) -> dict[str, Any]:
    if kind != "function":
        return agent_call(kind, id_, call_id, name, arguments, status)
    return {
        "id": id_,
        "type": "function_call",
        "status": status,
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }


def response_head(id_: str, model: str, created: int | None) -> dict[str, Any]:
    """What is the same from the first event of a response to the last; the SDK is typed to find it."""
    return {
        "id": id_,
        "object": "response",
        "created_at": created or 0,
        "model": model,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "store": False,
    }


def response_end(reason: Reason, output: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
    cut = _SHOWN_CUT.get(reason)
    return {
        "status": "completed" if cut is None else "incomplete",
        "error": None,
        "incomplete_details": None if cut is None else {"reason": cut},
        "output": output,
        "usage": None if usage is None else shown(usage),
    }
