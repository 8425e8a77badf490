"""Errors as Google's services tell them: a status, its name, and details of known kinds.

https://cloud.google.com/apis/design/errors; those of this service: https://ai.google.dev/gemini-api/docs/troubleshooting
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in, shown_seconds, status_shown
from tollhouse.llm.formats.gemini.response import ErrorRead
from tollhouse.llm.trouble import short, trouble_of

_KINDS: Final = "type.googleapis.com/google.rpc."
_SHOWN: Final[dict[Trouble, tuple[int, str]]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    # The client's own key is fine: a 401 would make it throw that away.
    "upstream_auth": (502, "INTERNAL"),
    "auth": (401, "UNAUTHENTICATED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "quota": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
    "content_filter": (400, "INVALID_ARGUMENT"),
    "upstream_error": (502, "INTERNAL"),
}
#: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    """Errors of streams are sometimes wrapped in an array."""
    try:
        raw = msgspec.json.decode(body)
    except MALFORMED:
        raw = None
    match raw:
        case {"error": dict(error)} | [{"error": dict(error)}, *_]:
            pass
        case _:
            error = {}
    message, details = error.get("message"), error.get("details")
    text = message if isinstance(message, str) and message else short(body)
    text = text or f"the provider answered {status}"
    told = _Details(details)
    name = error.get("status")
    trouble = trouble_of(status, text, told.reason)
    if trouble == "quota" and told.retry_after is not None and not told.daily:
        trouble = "rate_limit"  # "exceeded your current quota" is also said of requests a minute
    retry_after = told.retry_after if told.retry_after is not None else seconds_in(headers)
    code = told.reason or (name if isinstance(name, str) else None)
    return Problem(trouble, text, status, code, retry_after=retry_after)


class _Details:
    """What is read of an error's details."""

    def __init__(self, details: Any) -> None:
        self.reason = ""
        self.retry_after: float | None = None
        self.daily = False
        for detail in details if isinstance(details, list) else ():
            match detail:
                case {"@type": str(kind), "reason": str(reason)} if kind == f"{_KINDS}ErrorInfo":
                    self.reason = reason
                case {"retryDelay": str(delay)}:
                    number = delay.removesuffix("s")
                    if number.replace(".", "", 1).isdecimal():
                        self.retry_after = float(number)
                case {"violations": list(violations)}:
                    self.daily = self.daily or any("PerDay" in str(violation) for violation in violations)
                case _:
                    pass


def trouble_in(error: ErrorRead) -> Trouble:
    """What an error in a stream is about, whose HTTP status was 200."""
    status = error.code or _STATUSES.get(error.status, 500)
    return trouble_of(status, error.message, error.status)


def encode_error(problem: Problem) -> ErrorAnswer:
    if problem.trouble == "content_filter":
        # Google answers prompts that it blocks with 200.
        feedback = {"blockReason": "OTHER", "blockReasonMessage": problem.message}
        return ErrorAnswer(200, msgspec.json.encode({"promptFeedback": feedback}))
    status = status_shown(problem, _SHOWN[problem.trouble][0])
    body = encoded_error(problem.trouble, problem.message, problem.retry_after)
    body["error"]["code"] = status
    return ErrorAnswer(status, msgspec.json.encode(body))


def encoded_error(trouble: Trouble, message: str, retry_after: float | None = None) -> dict[str, Any]:
    status, name = _SHOWN[trouble]
    error: dict[str, Any] = {"code": status, "message": message, "status": name}
    if trouble == "auth":
        info = {"@type": f"{_KINDS}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
        error["details"] = [info]
    elif retry_after is not None:
        delay = f"{shown_seconds(retry_after)}s"
        error["details"] = [{"@type": f"{_KINDS}RetryInfo", "retryDelay": delay}]
    return {"error": error}
