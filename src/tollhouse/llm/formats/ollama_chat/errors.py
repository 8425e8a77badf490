"""Errors as Ollama tells them: one text. https://docs.ollama.com/api/errors"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in, status_shown
from tollhouse.llm.trouble import short, trouble_of

_STATUS: Final[dict[Trouble, int]] = {
    "invalid_request": 400,
    "context_length": 400,
    "upstream_auth": 502,
    "auth": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "quota": 429,
    "overloaded": 503,
    "timeout": 504,
    "content_filter": 400,
    "upstream_error": 502,
}


class _Error(msgspec.Struct):
    error: str = ""


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    try:
        message = msgspec.json.decode(body, type=_Error).error
    except MALFORMED:
        message = ""
    text = message or short(body) or f"the provider answered {status}"
    return Problem(trouble_of(status, text), text, status, retry_after=seconds_in(headers))


def encode_error(problem: Problem) -> ErrorAnswer:
    status = status_shown(problem, _STATUS[problem.trouble])
    return ErrorAnswer(status, msgspec.json.encode({"error": problem.message}))
