"""Streams of responses, written for a client.

Each item has an `output_index` of its own and is opened, filled and closed by events; messages and
thoughts come one after the other, but calls stay open until the end, for pieces of their arguments may
come mixed. The last event repeats the whole response.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any, Final

import msgspec

from tollhouse.llm import openai_errors
from tollhouse.llm.chat import (
    Citation,
    Delta,
    Failed,
    Finish,
    Image,
    Likely,
    Logprobs,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolKind,
    ToolStart,
    Unshown,
)
from tollhouse.llm.form import Problem
from tollhouse.llm.formats.openai_responses.response import (
    PICTURE,
    annotation,
    call_item,
    message_item,
    picture_item,
    reasoning_item,
    response_end,
    response_head,
    summary_piece,
    text_piece,
)
from tollhouse.llm.logprobs import shown as shown_logprobs

_PING: Final = b": ping\n\n"


class _Open(msgspec.Struct):
    """An item that is being written."""

    id: str
    index: int
    pieces: list[str] = []
    annotations: list[dict[str, Any]] = []
    tokens: list[Likely] = []
    # of a call
    call_id: str = ""
    name: str = ""
    kind: ToolKind = "function"
    # of a thought
    encrypted: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def at(self, **members: Any) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index, **members}


class _Encoder:
    def __init__(self) -> None:
        self._sequence = 0
        self._stem = ""
        self._head: dict[str, Any] = {}
        #: the items that are complete, by their output index
        self._output: dict[int, dict[str, Any]] = {}
        self._count = 0
        self._message: _Open | None = None
        #: of the text that comes next
        self._likely: tuple[Likely, ...] = ()
        self._thought: _Open | None = None
        #: by the index of the call
        self._calls: dict[int, _Open] = {}

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(model, id_, created):
                return self._start(model, id_, created)
            case Text(text):
                return self._text(text)
            case Citation():
                return self._cite(delta)
            case Image():
                return self._picture(delta)
            case Logprobs(tokens):
                self._likely += tokens
                return b""
            case Unshown():
                return b""
            case Thinking():
                return self._think(delta)
            case ToolStart():
                return self._call(delta)
            case ToolArguments(index, fragment):
                call = self._calls[index]
                call.pieces.append(fragment)
                if call.kind != "function":
                    return b""  # their text is in arguments that have to be whole
                return self._event("response.function_call_arguments.delta", call.at(delta=fragment))
            case Finish():
                return self._finish(delta)
            case Ping():
                return _PING
            case Failed(message, trouble):
                return self._failed(Problem(trouble, message))

    def _event(self, kind: str, members: dict[str, Any]) -> bytes:
        body = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(body))

    def _start(self, model: str, id_: str, created: int | None) -> bytes:
        self._stem = id_.removeprefix("resp_")
        self._head = response_head(id_, model, created)
        response = self._head | response_end("stop", [], None) | {"status": "in_progress"}
        return self._event("response.created", {"response": response}) + self._event(
            "response.in_progress", {"response": response}
        )

    def _open(self, prefix: str) -> _Open:
        item = _Open(f"{prefix}_{self._stem}_{self._count}", self._count, [])
        self._count += 1
        return item

    def _added(self, opened: _Open, item: dict[str, Any]) -> bytes:
        return self._event("response.output_item.added", {"output_index": opened.index, "item": item})

    def _closed(self, opened: _Open, item: dict[str, Any]) -> bytes:
        self._output[opened.index] = item
        return self._event("response.output_item.done", {"output_index": opened.index, "item": item})

    def _text(self, text: str) -> bytes:
        opening = b""
        message = self._message
        if message is None:
            opening = self._close_thought()
            message = self._message = self._open("msg")
            opening += self._added(message, message_item(message.id, [], "in_progress"))
            part = message.at(content_index=0, part=text_piece(""))
            opening += self._event("response.content_part.added", part)
        message.pieces.append(text)
        tokens, self._likely = self._likely, ()
        message.tokens.extend(tokens)
        piece = message.at(content_index=0, delta=text, logprobs=shown_logprobs(tokens))
        return opening + self._event("response.output_text.delta", piece)

    def _close_message(self, status: str = "completed") -> bytes:
        message, self._message = self._message, None
        if message is None:
            return b""
        text = message.text
        said = text_piece(text, message.annotations, message.tokens)
        whole = message.at(content_index=0, text=text, logprobs=said["logprobs"])
        part = message.at(content_index=0, part=said)
        return (
            self._event("response.output_text.done", whole)
            + self._event("response.content_part.done", part)
            + self._closed(message, message_item(message.id, [said], status))
        )

    def _cite(self, citation: Citation) -> bytes:
        message = self._message
        if message is None:
            return b""
        note = annotation(citation, 0, len(message.text))
        place = len(message.annotations)
        message.annotations.append(note)
        members = message.at(content_index=0, annotation_index=place, annotation=note)
        return self._event("response.output_text.annotation.added", members)

    def _picture(self, image: Image) -> bytes:
        if not image.data:
            return b""
        out = self._close_message() + self._close_thought()
        item = self._open("ig")
        out += self._added(item, picture_item(item.id, Image(media_type=image.media_type), "in_progress"))
        out += self._event(f"response.{PICTURE}.completed", item.at())
        return out + self._closed(item, picture_item(item.id, image))

    def _think(self, thinking: Thinking) -> bytes:
        """A proof ends its thought; what only its maker can read is a thought of its own."""
        proof = thinking.signature or thinking.redacted
        out = b""
        if self._thought is None or thinking.redacted or (thinking.text and self._thought.encrypted):
            out = self._close_message() + self._close_thought()
            self._thought = self._open("rs")
            out += self._added(self._thought, reasoning_item(self._thought.id, "", None))
        thought = self._thought
        if proof:
            thought.encrypted = proof
        if not thinking.text:
            return out
        if not thought.pieces:
            part = thought.at(summary_index=0, part=summary_piece(""))
            out += self._event("response.reasoning_summary_part.added", part)
        thought.pieces.append(thinking.text)
        piece = thought.at(summary_index=0, delta=thinking.text)
        return out + self._event("response.reasoning_summary_text.delta", piece)

    def _close_thought(self) -> bytes:
        thought, self._thought = self._thought, None
        if thought is None:
            return b""
        text, out = thought.text, b""
        if text:
            out = self._event("response.reasoning_summary_text.done", thought.at(summary_index=0, text=text))
            part = thought.at(summary_index=0, part=summary_piece(text))
            out += self._event("response.reasoning_summary_part.done", part)
        return out + self._closed(thought, reasoning_item(thought.id, text, thought.encrypted))

    def _call(self, start: ToolStart) -> bytes:
        out = self._close_message() + self._close_thought()
        call = self._calls[start.index] = self._open("fc")
        # The SDK tells calls apart by these ids, so that no two may be empty.
        call.call_id, call.name, call.kind = start.id or call.id, start.name, start.kind
        item = call_item(call.id, call.call_id, call.name, "", "in_progress", call.kind)
        return out + self._added(call, item)

    def _close_call(self, call: _Open, status: str) -> bytes:
        arguments = call.text
        item = call_item(call.id, call.call_id, call.name, arguments, status, call.kind)
        if call.kind == "function":
            whole = call.at(name=call.name, arguments=arguments)
            told = self._event("response.function_call_arguments.done", whole)
        elif call.kind == "custom":
            text = item["input"]
            told = self._event("response.custom_tool_call_input.delta", call.at(delta=text))
            told += self._event("response.custom_tool_call_input.done", call.at(input=text))
        else:
            told = b""
        return told + self._closed(call, item)

    def _finish(self, finish: Finish) -> bytes:
        cut = finish.reason in ("length", "content_filter")
        status = "incomplete" if cut else "completed"
        out = self._close_thought() + self._close_message(status)
        for call in self._calls.values():
            out += self._close_call(call, status)
        output = [item for _, item in sorted(self._output.items())]
        response = self._head | response_end(finish.reason, output, finish.usage)
        return out + self._event(f"response.{status}", {"response": response})

    def _failed(self, problem: Problem) -> bytes:
        """The type that the SDK has, and beside it the member by which it raises an exception; no
        terminal event follows."""
        error = openai_errors.shown(problem)
        told = {"code": error["code"], "message": problem.message, "param": None, "error": error}
        return self._event("error", told)


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """The last event always tells usage."""
    return _Encoder()
