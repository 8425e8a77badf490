"""Whole chat completions, to and from the neutral form."""

from collections.abc import Iterator, Sequence
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
)
from tollhouse.llm.data_urls import image_at, url_of
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.openai_chat.signature import signature_in, signed
from tollhouse.llm.formats.openai_chat.usage import Counts, Groq, shown
from tollhouse.llm.logprobs import likely_in
from tollhouse.llm.logprobs import shown as shown_tokens

#: what compatible providers call their reasons where they differ
REASONS: Final[dict[str, Reason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "model_length": "length",
}


#: the reason of Mistral and OpenRouter for what is not an answer
FAILED: Final = "error"
FAILURE: Final = "the provider failed to answer"


class Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    extra_content: Any = None


class Said(msgspec.Struct):
    """A message, or the piece of one that a chunk carries."""

    #: a string; Mistral's thinking models send a list of parts
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    annotations: list[dict[str, Any]] | None = None
    #: of models that answer with pictures or sound; the former as OpenRouter has it, for OpenAI has no name
    images: Any = None
    audio: Any = None

    def pieces(self) -> Iterator[Text | Thinking | Image | Citation | OtherPart]:
        """Everything but the calls, in the order it is meant to be read."""
        thought = self.reasoning_content or self.reasoning
        if thought:
            yield Thinking(thought)
        if isinstance(self.content, str):
            if self.content:
                yield Text(self.content)
        else:
            for part in self.content or ():
                yield from _piece(part)
        if self.refusal:
            yield Text(self.refusal)
        for note in self.annotations or ():
            yield cited(note, note.get("url_citation"))
        for told in self.images if isinstance(self.images, list) else ():
            yield _picture(told)
        if self.audio:
            yield OtherPart("audio", {})


def _picture(told: Any) -> Image | OtherPart:
    match told:
        case {"image_url": {"url": str(url)}}:
            return image_at(url)
        case _:
            return OtherPart("images", {})


def picture(image: Image, place: int) -> dict[str, Any]:
    """The picture of an answer that has so many before it."""
    return {"type": "image_url", "image_url": {"url": url_of(image)}, "index": place}


def cited(note: dict[str, Any], told: Any) -> Citation | OtherPart:
    """What an annotation says of a page; of files only their owner knows."""
    match told:
        case {"url": str(url)}:
            return Citation(url, str(told.get("title") or ""))
        case _:
            return OtherPart("annotations", note)


def annotation(citation: Citation, start: int, end: int) -> dict[str, Any]:
    """Characters `start` to `end` of the answer are from that page."""
    told = {"url": citation.url, "title": citation.title, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": told}


def _piece(part: dict[str, Any]) -> Iterator[Text | Thinking | Citation | OtherPart]:
    match part:
        case {"type": "text", "text": str(text)}:
            yield Text(text)
        case {"type": "thinking", "thinking": list(inner)}:
            yield Thinking("".join(str(piece.get("text", "")) for piece in inner if isinstance(piece, dict)))
        case _:
            yield OtherPart(str(part.get("type", "")), part)


class _Choice(msgspec.Struct):
    message: Said
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"")


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Counts | None = None
    x_groq: Groq | None = None


def decode_response(body: bytes) -> Chat:
    """The first choice: no other form has more than one."""
    try:
        completion = msgspec.json.decode(body, type=_Completion)
        choice = completion.choices[0]
    except (*MALFORMED, IndexError) as error:
        raise Unreadable(str(error)) from None
    if choice.finish_reason == FAILED:
        raise Unreadable(FAILURE)
    reason = REASONS.get(choice.finish_reason or "", "stop")
    calls = [
        ToolCall(
            call.id or "",
            call.function.name or "",
            call.function.arguments or "",
            signature=signature_in(call.extra_content),
        )
        for call in choice.message.tool_calls or ()
        if call.function is not None
    ]
    parts: tuple[AnswerPart, ...] = (*choice.message.pieces(), *calls)
    counts = completion.usage or (completion.x_groq and completion.x_groq.usage)
    return Chat(
        model=completion.model or "",
        parts=parts,
        # Some compatible servers say `stop` where they mean the calls.
        reason="tool_calls" if calls and reason == "stop" else reason,
        usage=counts.usage() if counts else None,
        id=completion.id or "",
        created=completion.created,
        logprobs=likely_in(choice.logprobs),
    )


def encode_response(chat: Chat) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    texts = [part.text for part in chat.parts if isinstance(part, Text)]
    calls = [part for part in chat.parts if isinstance(part, ToolCall)]
    thoughts = "".join(part.text for part in chat.parts if isinstance(part, Thinking))
    message["content"] = "".join(texts) if texts or not calls else None
    if thoughts:
        message["reasoning_content"] = thoughts
    if annotations := _annotations(chat):
        message["annotations"] = annotations
    if pictures := [part for part in chat.parts if isinstance(part, Image)]:
        message["images"] = [picture(image, place) for place, image in enumerate(pictures)]
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
                **signed(call.signature),
            }
            for call in calls
        ]
    body: dict[str, Any] = {"id": chat.id} if chat.id else {}
    body |= {
        "object": "chat.completion",
        "created": chat.created,
        "model": chat.model,
        "choices": [
            {"index": 0, "message": message, "finish_reason": chat.reason} | shown_logprobs(chat.logprobs)
        ],
    }
    if chat.usage is not None:
        body["usage"] = shown(chat.usage)
    return body


def shown_logprobs(tokens: Sequence[Likely]) -> dict[str, Any]:
    """The member of a choice; nothing if there is nothing to tell."""
    return {"logprobs": {"content": shown_tokens(tokens), "refusal": None}} if tokens else {}


def _annotations(chat: Chat) -> list[dict[str, Any]]:
    """Each page with the place of the text that is from it."""
    found: list[dict[str, Any]] = []
    start = end = 0
    for part in chat.parts:
        if isinstance(part, Text):
            start, end = end, end + len(part.text)
        elif isinstance(part, Citation):
            found.append(annotation(part, start, end))
    return found
