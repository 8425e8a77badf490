"""Anthropic messages: for Claude at Anthropic, servers that speak its form, and clients such as Claude Code.

Its differences from OpenAI's form: content is blocks in order, the system's words stand apart, results of
tools in turns of the user, a limit of tokens must be told, and usage counts the cache beside the input.
"""

from tollhouse.llm.formats.anthropic_messages.count import (
    decode_count_request,
    decode_count_response,
    encode_count_request,
    encode_count_response,
    estimate,
)
from tollhouse.llm.formats.anthropic_messages.errors import decode_error, encode_error
from tollhouse.llm.formats.anthropic_messages.headers import BETA_FIELD, merged_betas
from tollhouse.llm.formats.anthropic_messages.request import decode_request, encode_request
from tollhouse.llm.formats.anthropic_messages.response import decode_response, encode_response
from tollhouse.llm.formats.anthropic_messages.stream import STREAM_TYPE, stream_decoder
from tollhouse.llm.formats.anthropic_messages.writing import stream_encoder

__all__ = [
    "BETA_FIELD",
    "STREAM_TYPE",
    "decode_count_request",
    "decode_count_response",
    "decode_error",
    "decode_request",
    "decode_response",
    "encode_count_request",
    "encode_count_response",
    "encode_error",
    "encode_request",
    "encode_response",
    "estimate",
    "merged_betas",
    "stream_decoder",
    "stream_encoder",
]
