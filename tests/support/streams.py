"""Streams of a form, read and written, and what was said in them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from tollhouse.llm.chat import AnswerPart, Delta, Text, Thinking, ToolArguments, ToolCall, ToolStart
from tollhouse.llm.form import Form

#: text, thoughts, and id, name and arguments of each call
Said = tuple[str, str, list[tuple[str, str, str]]]


def decoded(form: Form, *pieces: bytes) -> list[Delta]:
    decoder = form.stream_decoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def encoded(form: Form, *deltas: Delta) -> bytes:
    encoder = form.stream_encoder(include_usage=True)
    return b"".join([encoder.encode(delta) for delta in deltas])


def events_in(stream: bytes) -> list[dict[str, Any]]:
    """The data of server-sent events, but for [DONE]."""
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: {")]
    return [msgspec.json.decode(line) for line in lines]


def said(parts: Sequence[AnswerPart]) -> Said:
    return (
        "".join(part.text for part in parts if isinstance(part, Text)),
        "".join(part.text for part in parts if isinstance(part, Thinking)),
        [(part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)],
    )


def gathered(deltas: Sequence[Delta]) -> Said:
    starts = [delta for delta in deltas if isinstance(delta, ToolStart)]
    arguments = dict.fromkeys((start.index for start in starts), "")
    for delta in deltas:
        if isinstance(delta, ToolArguments):
            arguments[delta.index] += delta.fragment
    return (
        "".join(delta.text for delta in deltas if isinstance(delta, Text)),
        "".join(delta.text for delta in deltas if isinstance(delta, Thinking)),
        [(start.id, start.name, arguments[start.index]) for start in starts],
    )


def cut_anywhere(data: st.DataObject, content: bytes) -> list[bytes]:
    """The bytes of a stream in pieces that the network could have made of it."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=5)))
    edges = [0, *cuts, len(content)]
    return [content[start:end] for start, end in pairwise(edges)]
