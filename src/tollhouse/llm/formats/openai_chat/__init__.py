"""OpenAI chat completions: the form that most clients and most providers speak.

`forward` is for requests and answers that stay in this form; the other modules translate.
"""

from tollhouse.llm.formats.openai_chat.encoded import encode_request
from tollhouse.llm.formats.openai_chat.errors import decode_error, encode_error
from tollhouse.llm.formats.openai_chat.request import decode_request
from tollhouse.llm.formats.openai_chat.response import decode_response, encode_response
from tollhouse.llm.formats.openai_chat.stream import STREAM_TYPE, stream_decoder, stream_encoder

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
