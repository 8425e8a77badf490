"""Recorded answers of what is no chat: passed on byte for byte, and metered by what they tell themselves."""

from typing import Any, Final

import msgspec
import pytest
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording

#: recordings, the model to ask for, where, and the tokens that the provider told
ROWS: Final = (
    ("openai/completions-logprobs-gpt-3.5-turbo-instruct", "openai", "/v1/completions", (25, 30)),
    ("openai/completions-truncated-davinci-002", "openai", "/v1/completions", None),
    (
        "openai-compatible/completions-truncated-mixtral-8x7b-instruct-v0.1",
        "openai",
        "/v1/completions",
        (10, 512),
    ),
    ("openai-compatible/embeddings-embeddings-pplx-embed-v1-0.6b", "openai", "/v1/embeddings", (3, 0)),
    ("ollama/api-generate-system-llama3", "ollama", "/api/generate", (0, 38)),
)


@pytest.mark.parametrize(("name", "provider", "path", "tokens"), ROWS, ids=[row[0] for row in ROWS])
async def test_an_answer_passes_with_its_usage(
    node: Gateway,
    models: ModelServer,
    name: str,
    provider: str,
    path: str,
    tokens: tuple[int, int] | None,
) -> None:
    stored = recording(name)
    models.play = replay(stored)
    assert stored.request is not None
    body = {**stored.request, "model": f"{provider}/{stored.request['model']}"}

    reply = await node.request("POST", path, {"Content-Type": "application/json"}, msgspec.json.encode(body))

    assert (reply.status, reply.body) == (200, stored.content)
    if tokens is None:
        told: Any = msgspec.json.decode(stored.content)["usage"]
        tokens = (told["prompt_tokens"], told.get("completion_tokens", 0))
    headers = reply.headers
    counted = (headers["x-tollhouse-prompt-tokens"], headers["x-tollhouse-completion-tokens"])
    assert tuple(map(int, counted)) == tokens
    assert headers["x-tollhouse-usage"] == "reported"
    assert headers["x-tollhouse-provider"] == provider


async def test_quota_that_is_spent_is_passed_on(node: Gateway, models: ModelServer) -> None:
    spent = recording("synthetic/openai-429-quota")
    models.play = plain(spent.content, 429, "Retry-After: 60")
    body = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]}

    fields = {"Content-Type": "application/json"}
    reply = await node.request("POST", "/v1/chat/completions", fields, msgspec.json.encode(body))

    assert (reply.status, reply.body) == (429, spent.content)
    assert reply.headers["retry-after"] == "60"
