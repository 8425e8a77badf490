"""What providers fail with, as clients of each form must see it: the table of errors, row by row."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest
from tests.support.gateway import Reply
from tests.support.models import plain, replay, stream
from tests.support.recordings import recording
from tests.support.sdks.site import FORMS, Site

from tollhouse.llm.provider import FormName

CLIENTS: Final[tuple[FormName, ...]] = (
    *("openai_chat", "openai_responses", "anthropic_messages", "gemini", "bedrock_converse"),
    *("cohere_chat", "ollama_chat"),
)


def openai(message: str, code: str | None = None) -> bytes:
    return msgspec.json.encode({"error": {"message": message, "type": "t", "param": None, "code": code}})


def claude(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


#: what OpenAI and Anthropic answer, and how each client is told: status, and code, type, status or kind
Row = tuple[int, bytes, bytes, dict[FormName, tuple[int, str]]]
ROWS: Final[dict[str, Row]] = {
    "invalid request": (
        400,
        openai("messages: wrong"),
        claude("invalid_request_error", "messages: wrong"),
        {
            "openai_chat": (400, "invalid_request_error"),
            "openai_responses": (400, "invalid_request_error"),
            "anthropic_messages": (400, "invalid_request_error"),
            "gemini": (400, "INVALID_ARGUMENT"),
            "bedrock_converse": (400, "ValidationException"),
            "cohere_chat": (400, ""),
            "ollama_chat": (400, ""),
        },
    ),
    "context too long": (
        400,
        openai("maximum context length is 8 tokens", "context_length_exceeded"),
        claude("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"),
        {
            "openai_chat": (400, "context_length_exceeded"),
            "openai_responses": (400, "context_length_exceeded"),
            "anthropic_messages": (400, "invalid_request_error"),
            "gemini": (400, "INVALID_ARGUMENT"),
            "bedrock_converse": (400, "ValidationException"),
            "cohere_chat": (400, ""),
            "ollama_chat": (400, ""),
        },
    ),
    "the gateway's key is bad": (
        401,
        openai("Incorrect API key provided: sk-fragment", "invalid_api_key"),
        claude("authentication_error", "invalid x-api-key sk-fragment"),
        {
            "openai_chat": (502, "upstream_authentication_failed"),
            "openai_responses": (502, "upstream_authentication_failed"),
            "anthropic_messages": (502, "api_error"),
            "gemini": (502, "INTERNAL"),
            "bedrock_converse": (500, "InternalServerException"),
            "cohere_chat": (502, ""),
            "ollama_chat": (502, ""),
        },
    ),
    "not allowed": (
        403,
        openai("no access to it"),
        claude("permission_error", "no access to it"),
        {
            "openai_chat": (403, "permission_denied"),
            "openai_responses": (403, "permission_denied"),
            "anthropic_messages": (403, "permission_error"),
            "gemini": (403, "PERMISSION_DENIED"),
            "bedrock_converse": (403, "AccessDeniedException"),
            "cohere_chat": (403, ""),
            "ollama_chat": (403, ""),
        },
    ),
    "unknown model": (
        404,
        openai("no such model", "model_not_found"),
        claude("not_found_error", "model: no-such"),
        {
            "openai_chat": (404, "model_not_found"),
            "openai_responses": (400, "model_not_found"),
            "anthropic_messages": (404, "not_found_error"),
            "gemini": (404, "NOT_FOUND"),
            "bedrock_converse": (404, "ResourceNotFoundException"),
            "cohere_chat": (404, ""),
            "ollama_chat": (404, ""),
        },
    ),
    "rate limit": (
        429,
        openai("slow down", "rate_limit_exceeded"),
        claude("rate_limit_error", "slow down"),
        {
            "openai_chat": (429, "rate_limit_exceeded"),
            "openai_responses": (429, "rate_limit_exceeded"),
            "anthropic_messages": (429, "rate_limit_error"),
            "gemini": (429, "RESOURCE_EXHAUSTED"),
            "bedrock_converse": (429, "ThrottlingException"),
            "cohere_chat": (429, ""),
            "ollama_chat": (429, ""),
        },
    ),
    "quota spent": (
        429,
        openai("You exceeded your current quota", "insufficient_quota"),
        claude("billing_error", "Your credit balance is too low"),
        {
            "openai_chat": (429, "insufficient_quota"),
            "openai_responses": (429, "insufficient_quota"),
            "anthropic_messages": (402, "billing_error"),
            "gemini": (429, "RESOURCE_EXHAUSTED"),
            "bedrock_converse": (400, "ServiceQuotaExceededException"),
            "cohere_chat": (402, ""),
            "ollama_chat": (429, ""),
        },
    ),
    "overloaded": (
        503,
        openai("overloaded"),
        claude("overloaded_error", "Overloaded"),
        {
            "openai_chat": (503, "overloaded"),
            "openai_responses": (503, "overloaded"),
            "anthropic_messages": (529, "overloaded_error"),
            "gemini": (503, "UNAVAILABLE"),
            "bedrock_converse": (503, "ServiceUnavailableException"),
            "cohere_chat": (503, ""),
            "ollama_chat": (503, ""),
        },
    ),
    "timeout": (
        504,
        openai("took too long"),
        claude("timeout_error", "took too long"),
        {
            "openai_chat": (504, "timeout"),
            "openai_responses": (504, "timeout"),
            "anthropic_messages": (504, "timeout_error"),
            "gemini": (504, "DEADLINE_EXCEEDED"),
            "bedrock_converse": (408, "ModelTimeoutException"),
            "cohere_chat": (504, ""),
            "ollama_chat": (504, ""),
        },
    ),
    "a page of a proxy": (
        503,
        b"<html><body>503 at 10.0.0.7</body></html>",
        b"<html><body>503 at 10.0.0.7</body></html>",
        {
            "openai_chat": (502, "upstream_error"),
            "openai_responses": (502, "upstream_error"),
            "anthropic_messages": (502, "api_error"),
            "gemini": (502, "INTERNAL"),
            "bedrock_converse": (500, "InternalServerException"),
            "cohere_chat": (502, ""),
            "ollama_chat": (502, ""),
        },
    ),
}
#: what only the log may show of a provider's error
SECRET: Final = (b"fragment", b"10.0.0.7", b"<html>")


def kind_in(reply: Reply, client: FormName) -> str:
    """What a client's SDK goes by, beside the status."""
    body: Any = reply.json()
    match client:
        case "openai_chat" | "openai_responses":
            assert set(body["error"]) == {"message", "type", "param", "code"}
            return str(body["error"]["code"] or body["error"]["type"])
        case "anthropic_messages":
            assert body["type"] == "error"
            return str(body["error"]["type"])
        case "gemini":
            assert body["error"]["code"] == reply.status
            return str(body["error"]["status"])
        case "bedrock_converse":
            assert body["message"]
            return reply.headers["x-amzn-errortype"]
        case "ollama_chat":
            assert isinstance(body["error"], str)
        case _:
            assert body["message"]
    return ""


async def ask(
    site: Site, client: FormName, provider: FormName, *, streamed: bool, model: str | None = None
) -> Reply:
    """One request of a client of that form, by hand: SDKs would try again."""
    path, user = f"/proxy/{client}/{provider}", {"role": "user", "content": "hi"}
    model = model or FORMS[provider][1]
    body: dict[str, Any] = {"messages": [user], "model": model, "stream": streamed}
    match client:
        case "openai_responses":
            body = {"input": "hi", "model": model, "stream": streamed}
        case "anthropic_messages":
            body["max_tokens"] = 9
        case "gemini":
            method = "streamGenerateContent" if streamed else "generateContent"
            path += f"/v1beta/models/{model}:{method}"
            body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
        case "bedrock_converse":
            path += f"/model/{model}/{'converse-stream' if streamed else 'converse'}"
            body = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
        case "openai_chat" | "cohere_chat" | "ollama_chat":
            pass
    fields = {"Content-Type": "application/json"}
    return await site.node.request("POST", path, fields, msgspec.json.encode(body))


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("client", CLIENTS)
async def test_an_error_has_the_status_and_the_kind_of_the_client_s_form(
    site: Site, client: FormName, row: str, streamed: bool
) -> None:
    status, of_openai, of_claude, expected = ROWS[row]
    provider: FormName = "anthropic_messages" if client == "openai_chat" else "openai_chat"
    body = of_claude if provider == "anthropic_messages" else of_openai
    kind = "text/html" if body.startswith(b"<") else "application/json"
    site.models.play = plain(body, status, "Retry-After: 7", kind=kind)

    reply = await ask(site, client, provider, streamed=streamed)

    assert (reply.status, kind_in(reply, client)) == expected[client]
    assert reply.headers["retry-after"] == "7"
    assert reply.headers["content-type"].startswith("application/json")
    assert not any(secret in reply.body for secret in SECRET)


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_page_of_a_proxy_is_an_error_also_where_nothing_is_translated(
    site: Site, streamed: bool
) -> None:
    site.models.play = plain(b"<html>503</html>", 503, kind="text/html; charset=UTF-8")

    reply = await ask(site, "openai_chat", "openai_chat", streamed=streamed)

    assert (reply.status, kind_in(reply, "openai_chat")) == (502, "upstream_error")


#: how Azure refuses a prompt, and what clients get who expect an answer
FILTERED: Final = openai("The response was filtered", "content_filter")
ANSWERS: Final[Mapping[FormName, bytes]] = {
    "anthropic_messages": b'"stop_reason":"refusal"',
    "bedrock_converse": b'"stopReason":"content_filtered"',
}


@pytest.mark.parametrize("in_pieces", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("client", ANSWERS)
async def test_a_prompt_that_was_blocked_is_answered_where_a_form_has_no_error_for_it(
    site: Site, client: FormName, streamed: bool, in_pieces: bool
) -> None:
    pieces = stream([FILTERED[:20], FILTERED[20:]], kind="application/json", status=400)
    site.models.play = pieces if in_pieces else plain(FILTERED, 400)

    reply = await ask(site, client, "openai_chat", streamed=streamed)

    assert reply.status == 200
    assert ANSWERS[client] in reply.body
    assert (reply.headers["content-type"] == "application/json") is not streamed


@pytest.mark.parametrize(
    ("streamed", "told"), [(True, b'"finishReason":"SAFETY"'), (False, b'"promptFeedback"')]
)
async def test_google_s_clients_are_told_of_a_blocked_prompt_as_google_does(
    site: Site, streamed: bool, told: bytes
) -> None:
    site.models.play = plain(FILTERED, 400)

    reply = await ask(site, "gemini", "openai_chat", streamed=streamed)

    assert reply.status == 200
    assert told in reply.body
    assert reply.body.startswith(b"data: ") is streamed


#: too large: AWS says so with 400, and Kong's clients of OpenAI's chats get its words
TOO_LARGE: Final[Mapping[FormName, tuple[int, str]]] = {
    "openai_chat": (400, ""),
    "openai_responses": (413, "request_too_large"),
    "anthropic_messages": (413, "request_too_large"),
    "gemini": (413, "INVALID_ARGUMENT"),
    "bedrock_converse": (400, "ValidationException"),
    "cohere_chat": (413, ""),
    "ollama_chat": (413, ""),
}


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_request_that_is_too_large_is_told_so(site: Site, client: FormName) -> None:
    asked = len(site.models.received)
    path = {"gemini": "/v1beta/models/m:generateContent", "bedrock_converse": "/model/m/converse"}
    fields = {"Content-Type": "application/json"}
    body = msgspec.json.encode({"model": FORMS["openai_chat"][1], "input": "x" * 1_000_001})

    where = f"/proxy/{client}/openai_chat{path.get(client, '')}"
    reply = await site.node.request("POST", where, fields, body)

    status, kind = TOO_LARGE[client]
    assert reply.status == status
    if client == "openai_chat":
        assert b"request body doesn't contain valid prompts" in reply.body
    else:
        assert kind_in(reply, client) == kind
    assert len(site.models.received) == asked


@pytest.mark.parametrize("client", [client for client in CLIENTS if not client.startswith("openai")])
async def test_who_must_name_a_model_gets_the_configured_one(site: Site, client: FormName) -> None:
    site.models.play = replay(recording("openai/chat-text-gpt-4o-mini"))
    provider: FormName = "openai_chat"

    reply = await ask(site, client, provider, streamed=False, model="as-it-was-before")

    assert reply.status == 200
    assert site.models.last_body["model"] == FORMS[provider][1]


async def test_google_s_clients_read_in_the_body_when_to_come_again(site: Site) -> None:
    path, fields = "/limited/v1beta/models/gemini-2.5-flash:generateContent", {"x-goog-api-key": "k"}

    await site.node.request("POST", path, fields, b'{"contents": []}')  # one is let in
    reply = await site.node.request("POST", path, fields, b'{"contents": []}')

    told: Any = reply.json()
    assert reply.status == 429
    assert told["error"]["details"][0]["retryDelay"] == f"{reply.headers['retry-after']}s"


#: who asks which models there are, and what is told of the one that the route has
LISTS: Final[tuple[tuple[FormName, str, dict[str, str], str], ...]] = (
    ("openai_chat", "/v1/models", {}, '"data":[{"id":"gpt-4.1","object":"model"'),
    ("openai_chat", "/v1/models/gpt-4.1", {}, '"id":"gpt-4.1"'),
    ("anthropic_messages", "/v1/models", {"anthropic-version": "2023-06-01"}, '"display_name":"gpt-4.1"'),
    ("gemini", "/v1beta/models", {}, '"name":"models/gpt-4.1"'),
    ("ollama_chat", "/api/tags", {}, '"model":"gpt-4.1"'),
)


@pytest.mark.parametrize(("client", "path", "fields", "told"), LISTS)
async def test_a_route_of_one_model_tells_which_it_is(
    site: Site, client: FormName, path: str, fields: dict[str, str], told: str
) -> None:
    reply = await site.node.request("GET", f"/proxy/{client}/openai_chat{path}", fields)

    assert (reply.status, told in reply.body.decode()) == (200, True)


async def test_a_model_that_a_route_does_not_have_is_not_found(site: Site) -> None:
    reply = await site.node.request("GET", "/proxy/openai_chat/openai_chat/v1/models/another")

    assert reply.status == 404
