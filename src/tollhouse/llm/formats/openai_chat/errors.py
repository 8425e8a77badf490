"""Errors in OpenAI's envelope."""

from tollhouse.llm.openai_errors import decode_error, encode_error

__all__ = ["decode_error", "encode_error"]
