"""Errors as Cohere tells them: an id and a text. https://docs.cohere.com/reference/errors"""

from collections.abc import Mapping
from typing import Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in, status_shown
from tollhouse.llm.trouble import short, trouble_of

_STATUS: Final[dict[Trouble, int]] = {
    "invalid_request": 400,
    "context_length": 400,
    # The client's own key is fine: a 401 would make it throw that away.
    "upstream_auth": 502,
    "auth": 401,
    "permission": 403,
    "not_found": 404,
    "too_large": 413,
    "rate_limit": 429,
    "quota": 402,
    "overloaded": 503,
    "timeout": 504,
    "content_filter": 400,
    "upstream_error": 502,
}


class _Error(msgspec.Struct):
    message: str = ""
    error_type: str | None = None


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    try:
        error = msgspec.json.decode(body, type=_Error)
    except MALFORMED:
        error = _Error()
    text = error.message or short(body) or f"the provider answered {status}"
    trouble = trouble_of(status, text, error.error_type or "")
    return Problem(trouble, text, status, error.error_type, retry_after=seconds_in(headers))


def encode_error(problem: Problem) -> ErrorAnswer:
    status = status_shown(problem, _STATUS[problem.trouble])
    return ErrorAnswer(status, msgspec.json.encode({"message": problem.message}))
