"""Errors in OpenAI's envelope. https://platform.openai.com/docs/guides/error-codes"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in
from tollhouse.llm.trouble import short, trouble_of

#: status, type and code for a client; the provider's own code goes before ours
_SHOWN: Final[dict[Trouble, tuple[int, str, str | None]]] = {
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


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    """Reads OpenAI's envelope and those of compatible servers: `{"error": "text"}`, `{"detail": …}`."""
    try:
        raw = msgspec.json.decode(body)
    except MALFORMED:
        raw = None
    message, code, param = _told(raw)
    text = message or short(body) or f"the provider answered {status}"
    trouble = trouble_of(status, text, code or "")
    return Problem(trouble, text, status, code, param, seconds_in(headers))


def _told(raw: Any) -> tuple[str, str | None, str | None]:
    match raw:
        case {"error": {"message": str(message)} as error}:
            code, param = error.get("code"), error.get("param")
            return message, None if code is None else str(code), param if isinstance(param, str) else None
        case {"error": str(message)} | {"detail": str(message)} | {"message": str(message)}:
            code = raw.get("code")
            return message, None if code is None else str(code), None
        case {"detail": [{"msg": str(message)}, *_]}:
            return message, None, None
        case _:
            return "", None, None


def encode_error(problem: Problem) -> ErrorAnswer:
    status, kind, code = _SHOWN[problem.trouble]
    error = {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code or code}
    headers = {"x-should-retry": "false"} if problem.trouble == "quota" else {}
    return ErrorAnswer(status, msgspec.json.encode({"error": error}), headers)
