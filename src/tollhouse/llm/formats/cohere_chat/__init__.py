"""Cohere's own `/v2/chat`, and beside it its `/v2/embed` and `/v2/rerank`.

Its differences from OpenAI's chat completions: plans of a model beside its calls, documents to answer
from, names of options, and two counts of tokens: what was used and what is billed.
"""

from tollhouse.llm.formats.cohere_chat.errors import decode_error, encode_error
from tollhouse.llm.formats.cohere_chat.request import decode_request, encode_request
from tollhouse.llm.formats.cohere_chat.response import decode_response, encode_response
from tollhouse.llm.formats.cohere_chat.stream import STREAM_TYPE, stream_decoder, stream_encoder

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
