"""Errors in Anthropic's envelope. https://platform.claude.com/docs/en/api/errors"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in, status_shown
from tollhouse.llm.trouble import short, trouble_of

#: status and type for a client
_SHOWN: Final[dict[Trouble, tuple[int, str]]] = {
    "invalid_request": (400, "invalid_request_error"),
    "context_length": (400, "invalid_request_error"),
    # The client's own key is fine: a 401 would make it throw that away.
    "upstream_auth": (502, "api_error"),
    "auth": (401, "authentication_error"),
    "permission": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "too_large": (413, "request_too_large"),
    "rate_limit": (429, "rate_limit_error"),
    "quota": (402, "billing_error"),
    "overloaded": (529, "overloaded_error"),
    "timeout": (504, "timeout_error"),
    "content_filter": (400, "invalid_request_error"),
    "upstream_error": (502, "api_error"),
}
#: what a provider's types mean, where the status and the text say no more
_TROUBLES: Final[dict[str, Trouble]] = {
    "authentication_error": "upstream_auth",
    "billing_error": "quota",
    "permission_error": "permission",
    "not_found_error": "not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
    "api_error": "upstream_error",
}
_NO_CREDIT: Final = "credit balance"
#: what clients look for, to make their conversation shorter and try again
_TOO_LONG: Final = "prompt is too long"


class Error(msgspec.Struct):
    type: str = ""
    message: str = ""

    def trouble(self, status: int = 400) -> Trouble:
        if status == 400 and _NO_CREDIT in self.message:
            return "quota"
        return _TROUBLES.get(self.type) or trouble_of(status, self.message)


class _Envelope(msgspec.Struct):
    error: Error


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    try:
        error = msgspec.json.decode(body, type=_Envelope).error
    except MALFORMED:
        error = Error()
    text = error.message or short(body) or f"the provider answered {status}"
    return Problem(error.trouble(status), text, status, retry_after=seconds_in(headers))


def encode_error(problem: Problem) -> ErrorAnswer:
    # Of these only the client's own SDK must be kept from trying again: nothing will have changed.
    headers = {"x-should-retry": "false"} if problem.trouble == "quota" else {}
    body = msgspec.json.encode(envelope(problem.trouble, problem.message))
    return ErrorAnswer(status_shown(problem, _SHOWN[problem.trouble][0]), body, headers)


def envelope(trouble: Trouble, message: str) -> dict[str, Any]:
    """What tells an error, as the body of an answer or in a stream."""
    if trouble == "context_length" and _TOO_LONG not in message:
        message = f"{_TOO_LONG}: {message}"
    return {"type": "error", "error": {"type": _SHOWN[trouble][1], "message": message}}
