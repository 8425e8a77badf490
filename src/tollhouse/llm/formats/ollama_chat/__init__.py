"""Ollama's own `/api/chat`: for models that Ollama serves, and for clients that speak it.

Its differences from OpenAI's form: arguments of calls are objects, calls have no ids and cannot be
forced, pictures stand beside the text, options in an object of their own, streams are lines of JSON.
"""

from tollhouse.llm.formats.ollama_chat.errors import decode_error, encode_error
from tollhouse.llm.formats.ollama_chat.request import decode_request, encode_request
from tollhouse.llm.formats.ollama_chat.response import decode_response, encode_response
from tollhouse.llm.formats.ollama_chat.stream import STREAM_TYPE, stream_decoder, stream_encoder

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
