"""Amazon Bedrock's Converse and ConverseStream: for its models, and for clients that speak it.

Its differences from OpenAI's form: model and stream stand in the path, content is a list of unions with
one member each, marks for the prompt cache are elements of their own, turns alternate strictly, and
streams are binary frames.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from tollhouse.llm.formats.bedrock_converse.errors import decode_error, encode_error
from tollhouse.llm.formats.bedrock_converse.request import decode_request, encode_request
from tollhouse.llm.formats.bedrock_converse.response import decode_response, encode_response
from tollhouse.llm.formats.bedrock_converse.stream import STREAM_TYPE, stream_decoder
from tollhouse.llm.formats.bedrock_converse.writing import stream_encoder

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
