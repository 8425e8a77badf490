"""Errors of `/v1/responses`: OpenAI's envelope, but for one status."""

from typing import Final

import msgspec

from tollhouse.llm import openai_errors
from tollhouse.llm.form import ErrorAnswer, Problem
from tollhouse.llm.openai_errors import decode_error

__all__ = ["decode_error", "encode_error"]

#: recorded of OpenAI, where chat completions answer 404
_UNKNOWN_MODEL: Final = 400


def encode_error(problem: Problem) -> ErrorAnswer:
    if problem.trouble == "not_found":
        return ErrorAnswer(_UNKNOWN_MODEL, msgspec.json.encode({"error": openai_errors.shown(problem)}))
    return openai_errors.encode_error(problem)
