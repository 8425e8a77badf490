"""Cohere, Azure and Mistral behind a node, for clients that speak OpenAI's form."""

from collections.abc import AsyncIterator

import pytest
from tests.support.ai_proxy import ask, events, message_of, route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
AZURE = ", azure_instance: corp, azure_deployment_id: gpt, azure_api_version: '2024-10-21'"

CLAUDE = ", anthropic_version: '2023-06-01'"
OWN_KEY = "auth: {header_name: x-api-key, header_value: sk-gateway, allow_override: true}"
COMPLETIONS = "llm/v1/completions"
#: without an upstream URL: Azure's settings say where it is
DEPLOYED = route("deployed", "", route_type="preserve", provider="azure", options=AZURE).replace(
    'upstream_url: "", ', ""
)


@pytest.fixture(scope="module")
async def dialects(models: ModelServer) -> AsyncIterator[Gateway]:
    url = models.url
    chat = f"{url}/v1/chat/completions"
    routes = (
        route("cohere", f"{url}/v2/chat", provider="cohere", model="name: command-r7b-12-2024,"),
        route("azure", chat, provider="azure", options=AZURE),
        route("mistral", chat, provider="mistral", options=", mistral_format: openai"),
        route("claude", f"{url}/v1/messages", auth=OWN_KEY, provider="anthropic", options=CLAUDE),
        route(
            "completions", f"{url}/v1/messages", route_type=COMPLETIONS, provider="anthropic", options=CLAUDE
        ).replace("log_statistics: true", "log_statistics: false"),
        DEPLOYED,
        route("raw", f"{url}/raw", provider="llama2", options=", llama2_format: raw"),
        route("go-on", f"{url}/hf", route_type=COMPLETIONS, provider="huggingface"),
        route(
            "generate",
            f"{url}/api/generate",
            route_type=COMPLETIONS,
            provider="llama2",
            options=", llama2_format: ollama",
        ),
    )
    gateway = await Gateway.start('_format_version: "3.0"\nservices:' + "".join(routes))
    yield gateway
    await gateway.stop()


async def test_cohere_answers_in_openai_s_form_and_costs_what_it_bills(
    dialects: Gateway, models: ModelServer
) -> None:
    models.play = replay(recording("cohere/chat-text-command-r7b-12-2024"))

    reply = await ask(dialects, "/cohere", top_p=0.5, stop="x")

    assert models.last.target == "/v2/chat"
    assert (models.last_body["p"], models.last_body["stop_sequences"]) == (0.5, ["x"])
    body = reply.json()
    assert isinstance(body, dict)
    assert body["model"] == "command-r7b-12-2024"
    assert body["choices"][0]["message"]["content"] == "Hello! How can I assist you today?"
    assert body["usage"] == {"prompt_tokens": 496, "completion_tokens": 11, "total_tokens": 507}
    # 1 token in for 0.0375 USD and 9 out for 0.15 USD a million, not 496 and 11
    assert float(reply.headers["x-tollhouse-cost-usd"]) < 0.000002


async def test_cohere_streams_in_openai_s_form(dialects: Gateway, models: ModelServer) -> None:
    models.play = replay(recording("cohere/chat-stream-parallel-tools"))

    reply = await ask(dialects, "/cohere", stream=True, stream_options={"include_usage": True})

    chunks = events(reply.body)
    assert {chunk["model"] for chunk in chunks} == {"command-r7b-12-2024"}
    calls = [call for c in chunks if c["choices"] for call in c["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in calls if "id" in call] == [0, 1]
    assert chunks[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["usage"]["prompt_tokens"] == 1549


async def test_what_cohere_cannot_do_is_refused(dialects: Gateway) -> None:
    reply = await ask(dialects, "/cohere", n=2)

    assert reply.status == 400
    assert "n is not supported" in message_of(reply)


async def test_azure_is_told_a_version(dialects: Gateway, models: ModelServer) -> None:
    models.play = replay(recording("azure/chat-text-gpt-4o"))

    reply = await ask(dialects, "/azure")
    assert (reply.status, models.last.target) == (200, "/v1/chat/completions?api-version=2024-10-21")

    await ask(dialects, "/azure?api-version=2099-01-01")
    assert models.last.target == "/v1/chat/completions?api-version=2099-01-01"


async def test_mistral_gets_ids_of_calls_that_it_takes(dialects: Gateway, models: ModelServer) -> None:
    models.play = replay(recording("mistral/chat-text-mistral-small-latest"))
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
    ]

    reply = await ask(dialects, "/mistral", messages=messages, seed=5)

    assert reply.status == 200
    sent = models.last_body
    assert sent["random_seed"] == 5
    assert "seed" not in sent
    (made,) = sent["messages"][1]["tool_calls"]
    assert made["id"] == sent["messages"][2]["tool_call_id"]
    assert len(made["id"]) == 9


async def test_a_client_whose_own_key_is_refused_is_told_so(dialects: Gateway, models: ModelServer) -> None:
    models.play = plain(b'{"error":{"type":"authentication_error","message":"no such key"}}', 401)

    theirs = await ask(dialects, "/claude", {"X-Api-Key": "sk-theirs"})
    ours = await ask(dialects, "/claude")

    assert (theirs.status, ours.status) == (401, 502)
    assert message_of(theirs) == "no such key"
    assert "no such key" not in message_of(ours)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"messages": None}, "request body doesn't contain valid prompts"),
        ({}, "[llm/v1/chat] message format is not compatible with [llm/v1/completions] route type"),
    ],
)
async def test_completions_of_who_only_chats_want_a_prompt(
    dialects: Gateway, members: dict[str, None], message: str
) -> None:
    reply = await ask(dialects, "/completions", **members)
    assert (reply.status, message_of(reply)) == (400, message)


async def test_llama_s_servers_get_the_conversation_as_one_text(
    dialects: Gateway, models: ModelServer
) -> None:
    models.play = plain(b'{"data":[{"generated_text":"<s>[INST] x [/INST] Two."}]}')
    reply = await ask(dialects, "/raw", max_tokens=5)
    assert models.last_body == {
        "inputs": "<s>[INST] one two three four five [/INST]",
        "parameters": {"max_new_tokens": 5, "stream": False},
    }
    body = reply.json()
    assert isinstance(body, dict)
    assert body["choices"][0]["message"]["content"] == "Two."


@pytest.mark.parametrize(
    ("path", "answer", "target", "member"),
    [
        ("/go-on", b'[{"generated_text": "Two."}]', "/hf", "inputs"),
        ("/generate", b'{"model":"m","response":"Two.","done":true}', "/api/generate", "prompt"),
    ],
)
async def test_a_prompt_goes_to_who_goes_on_with_a_text(
    dialects: Gateway, models: ModelServer, path: str, answer: bytes, target: str, member: str
) -> None:
    models.play = plain(answer)
    reply = await ask(dialects, path, messages=None, prompt="1 + 1?")
    assert (models.last.target, models.last_body[member]) == (target, "1 + 1?")
    body = reply.json()
    assert isinstance(body, dict)
    assert (body["object"], body["choices"][0]["text"]) == ("text_completion", "Two.")


async def test_a_generated_stream_becomes_one_of_completions(dialects: Gateway, models: ModelServer) -> None:
    lines = b'{"model":"m","response":"Tw"}\n{"model":"m","response":"o","done":true,"eval_count":2}\n'
    models.play = plain(lines)
    reply = await ask(dialects, "/generate", messages=None, prompt="1 + 1?", stream=True)
    chunks = events(reply.body)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks if chunk["choices"]) == "Two"
    assert reply.body.endswith(b"data: [DONE]\n\n")
