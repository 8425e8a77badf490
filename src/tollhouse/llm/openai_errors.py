"""OpenAI's error envelope, which its chat completions, responses and embeddings share, and those of the
many servers that are compatible with it. https://platform.openai.com/docs/guides/error-codes
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in, status_shown
from tollhouse.llm.trouble import short, trouble_of

#: status, type and code for a client, who may look for the code; the provider's own stands where it is None
SHOWN: Final[Mapping[Trouble, tuple[int, str, str | None]]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    # The client's own key is fine: a 401 would make it throw that away.
    "upstream_auth": (502, "api_error", "upstream_authentication_failed"),
    "auth": (401, "invalid_request_error", "invalid_api_key"),
    "permission": (403, "invalid_request_error", "permission_denied"),
    "not_found": (404, "invalid_request_error", "model_not_found"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "overloaded": (503, "server_error", "overloaded"),
    "timeout": (504, "server_error", "timeout"),
    "content_filter": (400, "invalid_request_error", "content_filter"),
    "upstream_error": (502, "api_error", "upstream_error"),
}
#: codes that say more than the status they come with, or come without one: in streams
_BY_CODE: Final[Mapping[str, Trouble]] = {
    "model_not_found": "not_found",
    "context_length_exceeded": "context_length",
    "insufficient_quota": "quota",
    "rate_limit_exceeded": "rate_limit",
    "invalid_api_key": "upstream_auth",
    "content_filter": "content_filter",
}


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    """Reads OpenAI's envelope and those of compatible servers: `{"error": "text"}`, `{"detail": …}`."""
    try:
        raw = msgspec.json.decode(body)
    except MALFORMED:
        raw = None
    message, code, param = _told(raw)
    text = message or short(body) or f"the provider answered {status}"
    # Groq says 413 and rate_limit_exceeded of a request that is larger than a minute's tokens.
    by_code = None if status == 413 else _BY_CODE.get(code or "")
    trouble = by_code or trouble_of(status, text, code or "")
    return Problem(trouble, text, status, code, param, seconds_in(headers))


def _told(raw: Any) -> tuple[str, str | None, str | None]:
    match raw:
        case [first, *_]:  # Google's compatible surface wraps its errors so
            return _told(first)
        case {"error": {"message": str(message)} as error}:
            code, param = error.get("code"), error.get("param")
            return message, None if code is None else str(code), param if isinstance(param, str) else None
        case {"error": str(message)} | {"detail": str(message)} | {"message": str(message)}:
            code = raw.get("code")
            return message, None if code is None else str(code), None
        case {"detail": [{"msg": str(message)}, *_]} | {"message": {"detail": [{"msg": str(message)}, *_]}}:
            return message, None, None
        case _:
            return "", None, None


def encode_error(problem: Problem) -> ErrorAnswer:
    headers = {"x-should-retry": "false"} if problem.trouble == "quota" else {}
    return ErrorAnswer(
        status_shown(problem, SHOWN[problem.trouble][0]),
        msgspec.json.encode({"error": shown(problem)}),
        headers,
    )


def shown(problem: Problem) -> dict[str, str | None]:
    _, kind, code = SHOWN[problem.trouble]
    return {"message": problem.message, "type": kind, "param": problem.param, "code": code or problem.code}


def trouble_in_stream(code: str | int | None, message: str) -> Trouble:
    """What an error is about that came in a stream. Its code may be a status, as OpenRouter has it."""
    by_code = _BY_CODE.get(str(code))
    if by_code is not None:
        return by_code
    if isinstance(code, str) and code.isdecimal():
        code = int(code)
    return trouble_of(code, message) if isinstance(code, int) else "upstream_error"
