"""What answers tell of usage, whatever the operation and whoever's form it is: read, never changed.

OpenAI's pictures and transcriptions tell `input_tokens` and `output_tokens` with their kinds, its embeddings
and completions `prompt_tokens`; others have names of their own.
https://platform.openai.com/docs/api-reference/images/object,
https://platform.openai.com/docs/api-reference/audio/json-object
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.bedrock_converse import invoke
from tollhouse.llm.formats.cohere_chat.usage import Counts as CohereCounts
from tollhouse.llm.formats.gemini import embeddings as gemini
from tollhouse.llm.formats.openai_chat.usage import Counts
from tollhouse.llm.operations.places import Wire
from tollhouse.pdk.usage import Usage


class _Kinds(msgspec.Struct, gc=False):
    audio_tokens: int | None = None
    cached_tokens: int | None = None
    image_tokens: int | None = None


class _Counts(msgspec.Struct, gc=False):
    """Of pictures and sound."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Kinds | None = None
    #: as transcriptions call them
    input_token_details: _Kinds | None = None
    output_tokens_details: _Kinds | None = None
    output_token_details: _Kinds | None = None
    #: of transcriptions that are billed by the length of what was heard
    seconds: float | None = None

    def usage(self) -> Usage | None:
        if self.input_tokens is None and self.output_tokens is None:
            return None if self.seconds is None else Usage(audio_ms=round(self.seconds * 1000))
        asked = self.input_tokens_details or self.input_token_details or _Kinds()
        made = self.output_tokens_details or self.output_token_details or _Kinds()
        return Usage(
            self.input_tokens or 0,
            self.output_tokens or 0,
            cached_tokens=asked.cached_tokens or 0,
            prompt_audio_tokens=asked.audio_tokens or 0,
            completion_audio_tokens=made.audio_tokens or 0,
            prompt_image_tokens=asked.image_tokens or 0,
            completion_image_tokens=made.image_tokens or 0,
        )


class _Told(msgspec.Struct, gc=False):
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    #: Cohere's
    meta: CohereCounts | None = None
    #: Ollama's
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    #: of transcriptions told at length, in seconds
    duration: float | None = None


_read: Final = msgspec.json.Decoder(_Told).decode
_read_counts: Final = msgspec.json.Decoder(_Counts).decode
_read_openai: Final = msgspec.json.Decoder(Counts).decode


def usage_told(body: bytes, headers: Mapping[str, str], wire: Wire) -> tuple[Usage | None, str]:
    """Usage and the model that answered, `None` and an empty text for what is not told. Names of
    headers are in lower case."""
    if wire == "bedrock":
        return invoke.usage_of(body, headers), ""
    try:
        if wire in ("gemini", "vertex"):
            return gemini.decode_usage(body), ""
        told = _read(body)
        model = told.model or ""
        if told.meta is not None and (usage := told.meta.usage()) is not None:
            return usage, model
        if told.prompt_eval_count is not None or told.eval_count is not None:
            return Usage(told.prompt_eval_count or 0, told.eval_count or 0), model
        usage = _in(told.usage)
        if usage is None and told.duration is not None:
            usage = Usage(audio_ms=round(told.duration * 1000))
        return usage, model
    except MALFORMED:
        return None, ""


def _in(raw: msgspec.Raw) -> Usage | None:
    if not bytes(raw) or bytes(raw) == b"null":
        return None
    named = _read_counts(raw)
    if (usage := named.usage()) is not None:
        return usage
    counts = _read_openai(raw)
    if counts.prompt_tokens is None and counts.total_tokens is None:
        return None
    if counts.prompt_tokens is None and counts.total_tokens is not None:
        counts.prompt_tokens = counts.total_tokens  # rerankers tell the total alone
    return counts.usage()
