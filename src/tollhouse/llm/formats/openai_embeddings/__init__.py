"""Embeddings as OpenAI has them, `/v1/embeddings`: for its clients, and for the many who speak it.

Pure functions on `llm.embeddings`. Its SDKs ask for vectors in base64 unless told otherwise.
https://platform.openai.com/docs/api-reference/embeddings
"""

from tollhouse.llm.formats.openai_embeddings.request import decode_request, encode_request
from tollhouse.llm.formats.openai_embeddings.response import decode_response, encode_response
from tollhouse.llm.openai_errors import decode_error, encode_error

__all__ = [
    "decode_error",
    "decode_request",
    "decode_response",
    "encode_error",
    "encode_request",
    "encode_response",
]
