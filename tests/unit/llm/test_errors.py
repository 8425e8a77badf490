"""Errors of providers, understood; and told to clients in their own form."""

import json
from typing import get_args

import pytest

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import Problem
from tollhouse.llm.formats import ollama_chat, openai_chat


@pytest.mark.parametrize(
    ("status", "body", "trouble", "message"),
    [
        (
            401,
            {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}},
            "upstream_auth",
            "Incorrect",
        ),
        (400, {"error": {"message": "bad", "code": "context_length_exceeded"}}, "context_length", "bad"),
        (
            400,
            {"error": {"message": "This model's maximum context length is 8192"}},
            "context_length",
            "This",
        ),
        (400, {"error": {"message": "filtered", "code": "content_filter"}}, "content_filter", "filtered"),
        (400, {"error": "Incorrect API key provided", "code": "x"}, "upstream_auth", "Incorrect"),
        (404, {"error": {"message": "no such model"}}, "not_found", "no such model"),
        (422, {"detail": [{"msg": "field required"}]}, "invalid_request", "field required"),
        (429, {"error": {"message": "slow down"}}, "rate_limit", "slow down"),
        (429, {"error": {"message": "x", "code": "insufficient_quota"}}, "quota", "x"),
        (503, b"<html>busy</html>", "overloaded", "<html>busy</html>"),
        (500, b"", "upstream_error", "the provider answered 500"),
        (418, b"[]", "invalid_request", "[]"),
    ],
)
def test_openai_and_those_like_it_are_understood(
    status: int, body: object, trouble: Trouble, message: str
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    problem = openai_chat.decode_error(status, content, {"retry-after": "7"})

    assert problem.trouble == trouble
    assert problem.message.startswith(message)
    assert problem.status == status
    assert problem.retry_after == 7


def test_the_finer_retry_after_goes_first() -> None:
    problem = openai_chat.decode_error(429, b"{}", {"retry-after": "2", "retry-after-ms": "1500"})

    assert problem.retry_after == 1.5


def test_ollama_is_understood() -> None:
    problem = ollama_chat.decode_error(404, b'{"error": "model \\"x\\" not found"}', {})

    assert (problem.trouble, problem.message) == ("not_found", 'model "x" not found')


@pytest.mark.parametrize("trouble", get_args(Trouble))
def test_every_trouble_has_an_envelope_in_every_form(trouble: Trouble) -> None:
    problem = Problem(trouble, "what went wrong")

    for form in (openai_chat, ollama_chat):
        answer = form.encode_error(problem)
        assert 400 <= answer.status < 600
        assert b"what went wrong" in answer.body


def test_a_providers_refusal_of_our_key_is_no_401_for_the_client() -> None:
    answer = openai_chat.encode_error(Problem("upstream_auth", "bad key", 401))

    assert answer.status == 502
