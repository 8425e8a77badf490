"""Google's `generateContent`: Gemini models, on their own and on Vertex, and clients of Google's SDKs.

Its differences from OpenAI's form: the model stands in the path, arguments and results of functions are
objects, calls may have no ids, thoughts and calls are signed, an answer with calls ends with STOP, streams
have no end mark, and counts of thoughts stand beside those of the answer.
"""

from tollhouse.llm.formats.gemini.asked import decode_request
from tollhouse.llm.formats.gemini.errors import decode_error, encode_error
from tollhouse.llm.formats.gemini.request import encode_request
from tollhouse.llm.formats.gemini.response import decode_response, encode_response
from tollhouse.llm.formats.gemini.stream import STREAM_TYPE, stream_decoder, stream_encoder

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
