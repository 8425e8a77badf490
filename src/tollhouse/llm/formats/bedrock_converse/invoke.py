"""InvokeModel: bodies in the form of the model's maker, passed on as they are and metered.

Usage stands in the body, under names of the maker's own, and in headers of every answer; streams tell it in
their last chunk. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.bedrock_converse.eventstream import FrameReader, event
from tollhouse.pdk.usage import Usage

_INPUT_HEADER: Final = "x-amzn-bedrock-input-token-count"
_OUTPUT_HEADER: Final = "x-amzn-bedrock-output-token-count"
_READ_HEADER: Final = "x-amzn-bedrock-cache-read-input-token-count"
_WRITE_HEADER: Final = "x-amzn-bedrock-cache-write-input-token-count"


class _CacheCreation(msgspec.Struct):
    ephemeral_1h_input_tokens: int = 0


class _Usage(msgspec.Struct):
    """Anthropic's names, Nova's, and OpenAI's, which Mistral and others have."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    inputTokens: int | None = None
    outputTokens: int | None = None
    cacheReadInputTokenCount: int | None = None
    cacheWriteInputTokenCount: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Result(msgspec.Struct):
    tokenCount: int = 0


class _Metrics(msgspec.Struct):
    inputTokenCount: int | None = None
    outputTokenCount: int | None = None
    cacheReadInputTokenCount: int | None = None
    cacheWriteInputTokenCount: int | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Body(msgspec.Struct):
    """The members that tell usage, of answers and of chunks of streams."""

    usage: _Usage | None = None
    #: Anthropic's first chunk
    message: _Message | None = None
    # Titan
    inputTextTokenCount: int | None = None
    results: list[_Result] | None = None
    totalOutputTextTokenCount: int | None = None
    # Llama
    prompt_token_count: int | None = None
    generation_token_count: int | None = None
    # The last chunk of every stream
    metrics: _Metrics | None = msgspec.field(default=None, name="amazon-bedrock-invocationMetrics")


_read: Final = msgspec.json.Decoder(_Body).decode


def _counted(
    prompt: int | None, completion: int | None, read: int | None, written: int | None
) -> Usage | None:
    """Bedrock's counts of a prompt leave out what was read from and written to a cache."""
    if prompt is None and completion is None:
        return None
    read, written = read or 0, written or 0
    return Usage(
        (prompt or 0) + read + written, completion or 0, cached_tokens=read, cache_write_tokens=written
    )


def usage_in_headers(headers: Mapping[str, str]) -> Usage | None:
    """What the fields of an answer tell; names are in lower case."""

    def count(name: str) -> int | None:
        value = headers.get(name, "")
        return int(value) if value.isdecimal() and value.isascii() else None

    return _counted(count(_INPUT_HEADER), count(_OUTPUT_HEADER), count(_READ_HEADER), count(_WRITE_HEADER))


def usage_in_body(body: bytes) -> Usage | None:
    """What an answer of Anthropic's, Amazon's, Meta's or Mistral's models tells, or of one that is served in
    OpenAI's form; `None` if that is nothing."""
    try:
        return _usage(_read(body))
    except MALFORMED:
        return None


def usage_of(body: bytes, headers: Mapping[str, str]) -> Usage | None:
    """The body says more, the headers are always there."""
    return usage_in_body(body) or usage_in_headers(headers)


def _usage(found: _Body) -> Usage | None:
    if found.metrics is not None:
        it = found.metrics
        return _counted(
            it.inputTokenCount, it.outputTokenCount, it.cacheReadInputTokenCount, it.cacheWriteInputTokenCount
        )
    told = found.usage or (found.message and found.message.usage)
    if told:
        return _usage_object(told)
    if found.inputTextTokenCount is not None or found.totalOutputTextTokenCount is not None:
        written = found.totalOutputTextTokenCount
        if found.results is not None:
            written = sum(result.tokenCount for result in found.results)
        return _counted(found.inputTextTokenCount, written, None, None)
    return _counted(found.prompt_token_count, found.generation_token_count, None, None)


def _usage_object(told: _Usage) -> Usage | None:
    if told.prompt_tokens is not None or told.completion_tokens is not None:
        return _counted(told.prompt_tokens, told.completion_tokens, None, None)
    if told.inputTokens is not None or told.outputTokens is not None:
        return _counted(
            told.inputTokens,
            told.outputTokens,
            told.cacheReadInputTokenCount,
            told.cacheWriteInputTokenCount,
        )
    usage = _counted(
        told.input_tokens,
        told.output_tokens,
        told.cache_read_input_tokens,
        told.cache_creation_input_tokens,
    )
    if usage is not None and told.cache_creation is not None:
        usage.cache_write_hour_tokens = told.cache_creation.ephemeral_1h_input_tokens
    return usage


# Streams


class _Chunk(msgspec.Struct):
    bytes: str = ""


_read_chunk: Final = msgspec.json.Decoder(_Chunk).decode


def chunk(body: bytes) -> bytes:
    """A frame with an event of the model's own form in it, for a client of InvokeModel."""
    return event("chunk", msgspec.json.encode({"bytes": b64encode(body).decode()}))


class BrokenOff(PeerError):
    """A stream's last frame says why there are no more; the text is its kind, e.g. `throttlingException`."""


class InvokeReader:
    """Takes the events of the model's own form out of a stream, which may be cut anywhere, and notes what
    they tell of usage. Raises `PeerError` where the stream is none or ends in an exception."""

    def __init__(self) -> None:
        self._frames = FrameReader()
        #: the last that was told; Bedrock's own counts, in the last chunk, go before the model's
        self.usage: Usage | None = None
        #: whether the chunk that ends every stream has come
        self.is_complete = False
        #: events that could not be read
        self.skipped = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in self._frames.feed(data):
            if frame.headers.get(":message-type", "event") != "event":
                kind = frame.headers.get(":exception-type") or frame.headers.get(":error-code")
                raise BrokenOff(kind or "the provider's stream broke off")
            if frame.headers.get(":event-type") != "chunk":
                continue
            try:
                body = b64decode(_read_chunk(frame.payload).bytes, validate=True)
                self._note(_read(body))
            except (*MALFORMED, binascii.Error):
                self.skipped += 1
                continue
            yield body

    def _note(self, found: _Body) -> None:
        usage = _usage(found)
        if found.metrics is not None:
            self.is_complete = True
        if usage is None:
            return
        # Anthropic tells the prompt at the start and what was written at the end.
        earlier = self.usage
        if earlier is not None and not usage.prompt_tokens:
            earlier.completion_tokens = usage.completion_tokens
            return
        self.usage = usage
