"""OpenAI's responses, `/v1/responses`: the form of its newer clients, and of providers that follow it.

Its differences from chat completions: a conversation is a list of items, tools and schemas are flat,
thoughts come back with a proof, and a provider may keep the conversation, which no other form does.
"""

from tollhouse.llm.formats.openai_responses.errors import decode_error, encode_error
from tollhouse.llm.formats.openai_responses.events import stream_encoder
from tollhouse.llm.formats.openai_responses.request import decode_request, encode_request
from tollhouse.llm.formats.openai_responses.response import decode_response, encode_response
from tollhouse.llm.formats.openai_responses.stream import STREAM_TYPE, stream_decoder

__all__ = [
    "STREAM_TYPE",
    "decode_error",
    "decode_request",
    "decode_response",
    "encode_error",
    "encode_request",
    "encode_response",
    "stream_decoder",
    "stream_encoder",
]
