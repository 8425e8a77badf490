"""Whole answers of `generateContent`, to and from the neutral form.

https://ai.google.dev/api/generate-content#generatecontentresponse
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2s
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    AnswerPart,
    Chat,
    Citation,
    Image,
    OtherPart,
    Reason,
    Text,
    Thinking,
    ToolCall,
)
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.gemini.likely import likely_in, shown_likely
from tollhouse.llm.formats.gemini.usage import Counts, shown

#: What is not here ended by itself, or failed in a way that no other form has a word for.
_REASONS: Final[dict[str | int, Reason]] = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    # Clients may ask for numbers (`$alt=json;enum-encoding=int`), and the two interfaces number alike
    # only up to 5; these are about content in both:
    # https://github.com/googleapis/googleapis/blob/master/google/ai/generativelanguage/v1beta/generative_service.proto
    # https://github.com/googleapis/googleapis/blob/master/google/cloud/aiplatform/v1/content.proto
    2: "length",
    3: "content_filter",
    4: "content_filter",
    6: "content_filter",
    7: "content_filter",
    8: "content_filter",
    11: "content_filter",
}
_SHOWN_REASONS: Final[dict[Reason, str]] = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
SIGNATURE: Final = "thoughtSignature"


class _Blob(msgspec.Struct, rename="camel"):
    mime_type: str = ""
    data: str = ""


class PartialArg(msgspec.Struct, rename="camel"):
    """A piece of an argument: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling"""

    json_path: str = ""
    string_value: str | None = None
    number_value: float | None = None
    bool_value: bool | None = None


class FunctionCall(msgspec.Struct, rename="camel"):
    id: str = ""
    name: str = ""
    args: dict[str, Any] | None = None
    partial_args: list[PartialArg] | None = None
    will_continue: bool = False


class PartRead(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool = False
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    inline_data: _Blob | None = None
    executable_code: dict[str, Any] | None = None
    code_execution_result: dict[str, Any] | None = None

    @property
    def picture(self) -> Image | None:
        """What was drawn; sound comes in the same way."""
        blob = self.inline_data
        if blob is None or not blob.mime_type.startswith("image/"):
            return None
        return Image(data=blob.data, media_type=blob.mime_type)

    @property
    def unshown(self) -> str | None:
        """What it is, where that has no place in streams of other forms."""
        if self.inline_data is not None:
            return "inlineData"
        if self.executable_code is not None:
            return "executableCode"
        return None if self.code_execution_result is None else "codeExecutionResult"


class _Content(msgspec.Struct):
    parts: list[PartRead] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | int | None = None
    index: int = 0
    grounding_metadata: msgspec.Raw = msgspec.Raw(b"")
    citation_metadata: msgspec.Raw = msgspec.Raw(b"")
    logprobs_result: msgspec.Raw = msgspec.Raw(b"")

    @property
    def notes(self) -> list[Citation | OtherPart]:
        """The pages that it is from, and what else stands beside the answer and is of no other form."""
        found: list[Citation | OtherPart] = []
        if self.grounding_metadata:
            found += _pages(self.grounding_metadata) or [OtherPart("groundingMetadata", {})]
        if self.citation_metadata:
            found.append(OtherPart("citationMetadata", {}))
        return found


class _Page(msgspec.Struct):
    uri: str = ""
    title: str | None = None


class _Source(msgspec.Struct):
    web: _Page | None = None


class _Grounding(msgspec.Struct, rename="camel"):
    grounding_chunks: list[_Source] | None = None


def _pages(raw: msgspec.Raw) -> list[Citation]:
    try:
        chunks = msgspec.json.decode(raw, type=_Grounding).grounding_chunks or ()
    except MALFORMED:
        return []
    pages = (chunk.web for chunk in chunks)
    return [Citation(page.uri, page.title or "") for page in pages if page is not None and page.uri]


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | int | None = None


class ErrorRead(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""


class Chunk(msgspec.Struct, rename="camel"):
    """A whole answer, or one event of a stream: they look alike."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: Counts | None = None
    model_version: str = ""
    response_id: str = ""
    create_time: str = ""
    error: ErrorRead | None = None

    @property
    def created(self) -> int | None:
        """Seconds since the epoch; only Vertex tells."""
        if not self.create_time:
            return None
        try:
            return int(datetime.fromisoformat(self.create_time).timestamp())
        except ValueError:
            return None

    @property
    def answer(self) -> _Candidate | None:
        """The first candidate: no other form has more than one."""
        return next((one for one in self.candidates or () if one.index == 0), None)

    @property
    def is_blocked(self) -> bool:
        return self.prompt_feedback is not None and self.prompt_feedback.block_reason is not None

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing of an answer at all."""
        return not (self.candidates or self.prompt_feedback or self.usage_metadata or self.response_id)


read_chunk: Final = msgspec.json.Decoder(Chunk).decode


def reason_of(told: str | int) -> Reason:
    return _REASONS.get(told, "stop")


def invented_id(response_id: str, place: int, name: str, arguments: bytes) -> str:
    """Clients send ids back with results, so they must differ between the turns of a conversation, and
    the same answer must give the same ids however it arrived."""
    told = f"{response_id}\n{place}\n{name}\n".encode() + arguments
    return f"call_{blake2s(told, digest_size=12).hexdigest()}"


def decode_response(body: bytes) -> Chat:
    """A prompt that was blocked is answered with 200 and no candidate."""
    try:
        chunk = read_chunk(body)
    except MALFORMED as error:
        raise Unreadable(str(error)) from None
    if chunk.error is not None:
        raise Unreadable(chunk.error.message or "the provider reported an error")
    if chunk.is_empty:
        raise Unreadable("the answer has neither candidates nor feedback")
    candidate = chunk.answer
    told = candidate.finish_reason if candidate is not None else None
    reason: Reason = "content_filter" if candidate is None else reason_of(told or "STOP")
    parts = tuple(_parts(chunk))
    if reason == "stop" and any(isinstance(part, ToolCall) for part in parts):
        reason = "tool_calls"
    return Chat(
        model=chunk.model_version,
        parts=parts,
        reason=reason,
        usage=chunk.usage_metadata.usage() if chunk.usage_metadata is not None else None,
        id=chunk.response_id,
        created=chunk.created,
        logprobs=likely_in(candidate.logprobs_result) if candidate is not None else (),
    )


def _parts(chunk: Chunk) -> Iterator[AnswerPart]:
    candidate = chunk.answer
    given = candidate.content.parts if candidate is not None and candidate.content is not None else None
    place = 0
    for part in given or ():
        if part.function_call is not None:
            yield _call(part.function_call, part.thought_signature, place, chunk.response_id)
            place += 1
        elif part.text is not None:
            if (said := spoken(part)) is not None:
                yield said
        elif (picture := part.picture) is not None:
            yield picture
        else:
            yield from _hosted(part)
    if candidate is not None:
        yield from candidate.notes


def spoken(part: PartRead) -> Text | Thinking | None:
    """A piece of text or thought. Signatures also come with answers, and with empty text at their end."""
    text, signature = part.text or "", part.thought_signature
    if part.thought:
        return Thinking(text, signature) if text or signature else None
    if not text:
        return Thinking("", signature) if signature else None
    return Text(text, {SIGNATURE: signature}) if signature else Text(text)


def _call(call: FunctionCall, signature: str | None, place: int, response_id: str) -> ToolCall:
    arguments = msgspec.json.encode(call.args or {})
    id_ = call.id or invented_id(response_id, place, call.name, arguments)
    return ToolCall(id_, call.name, arguments.decode(), signature=signature)


def _hosted(part: PartRead) -> Iterator[OtherPart]:
    """What Google's own tools did on the way, and what is neither text nor picture."""
    blob = part.inline_data
    for kind, raw in (
        ("inlineData", None if blob is None else {"mimeType": blob.mime_type, "data": blob.data}),
        ("executableCode", part.executable_code),
        ("codeExecutionResult", part.code_execution_result),
    ):
        if raw is not None:
            signed = {SIGNATURE: part.thought_signature} if part.thought_signature else {}
            yield OtherPart(kind, {kind: raw, **signed})


# To a client


def encode_response(chat: Chat) -> dict[str, Any]:
    parts = [encoded for part in chat.parts if (encoded := encoded_part(part)) is not None]
    pages = [part for part in chat.parts if isinstance(part, Citation)]
    body = closing(parts, chat.reason, pages) | head(chat.model, chat.id, chat.created, chat.usage)
    body["candidates"][0] |= shown_likely(chat.logprobs)
    return body


def encoded_part(part: AnswerPart) -> dict[str, Any] | None:
    """`None` for what is not part of an answer in this form."""
    match part:
        case Text(text, extra):
            signature = extra.get(SIGNATURE)
            return {"text": text, SIGNATURE: signature} if signature else {"text": text}
        case Thinking(text, signature):
            return thought(text, signature)
        case ToolCall():
            return encoded_call(part.id, part.name, part.arguments, part.signature)
        case Image(_, str(data), media_type):
            return {"inlineData": {"mimeType": media_type, "data": data}}
        case OtherPart("executableCode" | "codeExecutionResult" | "inlineData", raw):
            return dict(raw)
        case _:
            return None


def thought(text: str, signature: str | None) -> dict[str, Any]:
    """A signature without text belongs to what was said before, and is no thought."""
    body: dict[str, Any] = {"text": text, "thought": True} if text else {"text": ""}
    return body | ({SIGNATURE: signature} if signature else {})


def encoded_call(id_: str, name: str, arguments: str, signature: str | None) -> dict[str, Any]:
    """Arguments that are no JSON object stay readable under a name of their own."""
    try:
        decoded = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
    except msgspec.DecodeError:
        decoded = {"arguments": arguments}
    call = {"id": id_} if id_ else {}
    body: dict[str, Any] = {"functionCall": call | {"name": name, "args": decoded}}
    return body | ({SIGNATURE: signature} if signature else {})


def closing(
    parts: list[dict[str, Any]], reason: Reason | None, pages: Sequence[Citation] = ()
) -> dict[str, Any]:
    """The candidates; without a reason the answer goes on. Calls end with STOP like everything else."""
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = _SHOWN_REASONS.get(reason, "STOP")
    if pages:
        chunks = [{"web": {"uri": page.url, "title": page.title}} for page in pages]
        candidate["groundingMetadata"] = {"groundingChunks": chunks}
    return {"candidates": [candidate]}


def head(model: str, id_: str, created: int | None, usage: Any = None) -> dict[str, Any]:
    """What stands beside the candidates, in answers as in events."""
    body: dict[str, Any] = {}
    if usage is not None:
        body["usageMetadata"] = shown(usage)
    if model:
        body["modelVersion"] = model
    if created is not None:
        body["createTime"] = datetime.fromtimestamp(created, UTC).isoformat().replace("+00:00", "Z")
    if id_:
        body["responseId"] = id_
    return body
