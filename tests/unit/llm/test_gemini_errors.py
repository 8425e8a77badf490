"""Errors in Google's envelope."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import Problem
from tollhouse.llm.formats.gemini import decode_error, encode_error

RPC = "type.googleapis.com/google.rpc."
QUOTA = "You exceeded your current quota, please check your plan and billing details."


def error(code: int, message: str, status: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "status": status, "details": list(details)}}


def info(reason: str) -> dict[str, Any]:
    return {"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": f"{RPC}RetryInfo", "retryDelay": delay}


def violated(quota: str) -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": quota}]}


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (
            400,
            error(
                400,
                "API key not valid. Please pass a valid API key.",
                "INVALID_ARGUMENT",
                info("API_KEY_INVALID"),
            ),
            ("upstream_auth", "API_KEY_INVALID", None),
        ),
        (
            400,
            error(400, "bad", "INVALID_ARGUMENT", info("API_KEY_INVALID")),
            ("upstream_auth", "API_KEY_INVALID", None),
        ),
        (400, error(400, "bad", "INVALID_ARGUMENT"), ("invalid_request", "INVALID_ARGUMENT", None)),
        (
            400,
            error(400, "The input token count (9) exceeds the maximum number of tokens", "INVALID_ARGUMENT"),
            ("context_length", "INVALID_ARGUMENT", None),
        ),
        (401, error(401, "no", "UNAUTHENTICATED"), ("upstream_auth", "UNAUTHENTICATED", None)),
        (403, error(403, "no", "PERMISSION_DENIED"), ("permission", "PERMISSION_DENIED", None)),
        (404, [error(404, "no", "NOT_FOUND")], ("not_found", "NOT_FOUND", None)),
        # quotas of a minute are limits of the rate, those of a day are not worth waiting for
        (
            429,
            error(429, QUOTA, "RESOURCE_EXHAUSTED", violated("GenerateRequestsPerMinute"), retry("34.5s")),
            ("rate_limit", "RESOURCE_EXHAUSTED", 34.5),
        ),
        (
            429,
            error(429, QUOTA, "RESOURCE_EXHAUSTED", violated("GenerateRequestsPerDay"), retry("34s")),
            ("quota", "RESOURCE_EXHAUSTED", 34.0),
        ),
        (429, error(429, QUOTA, "RESOURCE_EXHAUSTED"), ("quota", "RESOURCE_EXHAUSTED", 7.0)),
        (
            429,
            error(429, "slow", "RESOURCE_EXHAUSTED", retry("soon")),
            ("rate_limit", "RESOURCE_EXHAUSTED", 7.0),
        ),
        (500, error(500, "no", "INTERNAL"), ("upstream_error", "INTERNAL", None)),
        (503, error(503, "no", "UNAVAILABLE"), ("overloaded", "UNAVAILABLE", None)),
        (504, error(504, "no", "DEADLINE_EXCEEDED"), ("timeout", "DEADLINE_EXCEEDED", None)),
        (502, b"<html>bad gateway</html>", ("upstream_error", None, None)),
        (500, b"", ("upstream_error", None, None)),
        (400, {"error": "text"}, ("invalid_request", None, None)),
        (400, {"error": {"message": 7, "status": 8, "details": 9}}, ("invalid_request", None, None)),
        (400, [], ("invalid_request", None, None)),
    ],
)
def test_google_is_understood(
    status: int, body: Any, expected: tuple[Trouble, str | None, float | None]
) -> None:
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)

    problem = decode_error(status, content, {"retry-after": "7"} if expected[2] == 7 else {})

    assert (problem.trouble, problem.code, problem.retry_after) == expected
    assert problem.status == status
    assert problem.message


@pytest.mark.parametrize(
    ("problem", "status", "name"),
    [
        (Problem("invalid_request", "no"), 400, "INVALID_ARGUMENT"),
        (Problem("context_length", "no"), 400, "INVALID_ARGUMENT"),
        (Problem("upstream_auth", "no", 400), 502, "INTERNAL"),
        (Problem("permission", "no"), 403, "PERMISSION_DENIED"),
        (Problem("not_found", "no"), 404, "NOT_FOUND"),
        (Problem("too_large", "no"), 413, "INVALID_ARGUMENT"),
        (Problem("rate_limit", "no"), 429, "RESOURCE_EXHAUSTED"),
        (Problem("quota", "no"), 429, "RESOURCE_EXHAUSTED"),
        (Problem("overloaded", "no"), 503, "UNAVAILABLE"),
        (Problem("timeout", "no"), 504, "DEADLINE_EXCEEDED"),
        (Problem("upstream_error", "no"), 502, "INTERNAL"),
    ],
)
def test_clients_are_told_as_google_does(problem: Problem, status: int, name: str) -> None:
    answer = encode_error(problem)

    assert answer.status == status
    assert msgspec.json.decode(answer.body) == {"error": {"code": status, "message": "no", "status": name}}


def test_a_bad_key_has_google_s_reason() -> None:
    answer = encode_error(Problem("auth", "no"))

    assert answer.status == 401
    assert msgspec.json.decode(answer.body)["error"] == {
        "code": 401,
        "message": "no",
        "status": "UNAUTHENTICATED",
        "details": [info("API_KEY_INVALID")],
    }


def test_when_to_come_again_is_told_in_the_body() -> None:
    answer = encode_error(Problem("rate_limit", "no", retry_after=34.5))

    assert msgspec.json.decode(answer.body)["error"]["details"] == [retry("34.5s")]


def test_a_blocked_prompt_is_an_answer() -> None:
    answer = encode_error(Problem("content_filter", "no"))

    assert answer.status == 200
    feedback = {"blockReason": "OTHER", "blockReasonMessage": "no"}
    assert msgspec.json.decode(answer.body) == {"promptFeedback": feedback}
