"""Coding agents before every provider: what they send gets there, and they get calls that they can make."""

from typing import Any, Final

import msgspec
import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseCustomToolCall,
    ResponseFunctionToolCall,
)
from openai.types.responses.response_output_item import LocalShellCall
from tests.support.agents import CLAUDE_CODE, CLAUDE_CODE_HEADERS, CODEX, PATCH, calling
from tests.support.models import plain
from tests.support.sdks.site import FORMS, Site

from tollhouse.llm.dialogue import FORMS as WIRES
from tollhouse.llm.provider import FormName

every_provider: Final = pytest.mark.parametrize("form", list(FORMS))
foreign_providers: Final = pytest.mark.parametrize(
    "form", [form for form in FORMS if form != "openai_responses"]
)


def streamed(form: FormName, *calls: tuple[str, dict[str, Any]]) -> Any:
    return plain(calling(form, *calls), kind=WIRES[form].STREAM_TYPE)


def told(site: Site) -> str:
    """What the provider was sent, without the escapes of JSON within JSON."""
    return site.models.last.body.decode().replace("\\", "")


def events(body: bytes) -> list[dict[str, Any]]:
    blocks = (block.split(b"\n", 1) for block in body.split(b"\n\n") if block.startswith(b"event: "))
    found = [(name.removeprefix(b"event: ").decode(), data) for name, data in blocks]
    decoded = [msgspec.json.decode(data.removeprefix(b"data: ")) for _, data in found]
    assert [name for name, _ in found] == [event["type"] for event in decoded]
    return decoded


@every_provider
async def test_claude_code_calls_its_tools(site: Site, form: FormName) -> None:
    site.models.play = streamed(form, ("Bash", {"command": "pytest"}), ("Read", {"file_path": "/é"}))
    path = f"/proxy/anthropic_messages/{form}/v1/messages?beta=true"
    body = CLAUDE_CODE | {"model": FORMS[form][1]}

    reply = await site.node.request("POST", path, CLAUDE_CODE_HEADERS, msgspec.json.encode(body))

    assert reply.status == 200, reply.body
    told_events = events(reply.body)
    assert told_events[0]["type"] == "message_start"
    assert told_events[-1]["type"] == "message_stop"
    blocks: dict[int, dict[str, Any]] = {}
    for event in told_events:
        if event["type"] == "content_block_start":
            blocks[event["index"]] = event["content_block"] | {"said": ""}
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            blocks[event["index"]]["said"] += delta.get("text", delta.get("partial_json", ""))
    text, bash, read = blocks.values()
    assert (text["type"], text["said"]) == ("text", "Now.")
    assert (bash["name"], msgspec.json.decode(bash["said"])) == ("Bash", {"command": "pytest"})
    assert (read["name"], msgspec.json.decode(read["said"])) == ("Read", {"file_path": "/é"})
    assert bash["id"] != read["id"]
    (last,) = (event for event in told_events if event["type"] == "message_delta")
    assert last["delta"]["stop_reason"] == "tool_use"
    assert last["usage"]["output_tokens"] == 20


@every_provider
async def test_what_claude_code_says_reaches_the_provider(site: Site, form: FormName) -> None:
    site.models.play = streamed(form)
    path = f"/proxy/anthropic_messages/{form}/v1/messages?beta=true"
    body = CLAUDE_CODE | {"model": FORMS[form][1]}

    await site.node.request("POST", path, CLAUDE_CODE_HEADERS, msgspec.json.encode(body))

    sent = told(site)
    for piece in ("You are a coding agent.", "Working directory", "<system-reminder>", "Which tests fail?"):
        assert piece in sent
    for piece in ("I look.", '"Bash"', '"Read"', "Runs a command.", "a.py", "no such file", "Go on."):
        assert piece in sent
    assert "the-client-s-own" not in str(site.models.last.fields)
    if form == "anthropic_messages":
        assert site.models.last_body == body
        assert site.models.last.headers["anthropic-beta"] == CLAUDE_CODE_HEADERS["anthropic-beta"]
        assert site.models.last.target == "/v1/messages?beta=true"


@every_provider
async def test_claude_code_asks_how_long_a_conversation_is(site: Site, form: FormName) -> None:
    site.models.play = plain(b'{"input_tokens": 123}')
    body = {name: CLAUDE_CODE[name] for name in ("system", "messages", "tools", "thinking")}
    content = msgspec.json.encode(body | {"model": FORMS[form][1]})
    path = f"/proxy/anthropic_messages/{form}/v1/messages/count_tokens?beta=true"

    reply = await site.node.request("POST", path, CLAUDE_CODE_HEADERS, content)

    assert reply.status == 200, reply.body
    counted = msgspec.json.decode(reply.body)["input_tokens"]
    assert counted == 123 if form == "anthropic_messages" else 10 < counted < 1000


async def test_claude_code_finds_any_model_on_the_gateway(site: Site) -> None:
    site.models.play = streamed("openai_chat", ("Bash", {"command": "ls"}))
    body = msgspec.json.encode(CLAUDE_CODE | {"model": "groq/llama-3.3-70b-versatile"})

    reply = await site.node.request("POST", "/v1/messages?beta=true", CLAUDE_CODE_HEADERS, body)

    assert reply.status == 200, reply.body
    assert '"name":"Bash"' in reply.body.decode()
    assert site.models.last_body["model"] == "llama-3.3-70b-versatile"


@foreign_providers
async def test_codex_calls_its_tools_of_every_kind(site: Site, form: FormName) -> None:
    site.models.play = streamed(
        form,
        ("shell", {"command": ["ls"]}),
        ("apply_patch", {"input": PATCH}),
        ("local_shell", {"command": ["pytest", "-q"], "timeout_ms": 1000}),
    )
    url = f"{site.url}/proxy/openai_responses/{form}"

    async with AsyncOpenAI(base_url=url, api_key="the-client-s-own", max_retries=0) as client:
        stream = await client.responses.create(**CODEX | {"model": FORMS[form][1]})
        seen = [event async for event in stream]

    done = seen[-1]
    assert isinstance(done, ResponseCompletedEvent)
    _, shell, patch, local = done.response.output
    assert isinstance(shell, ResponseFunctionToolCall)
    assert msgspec.json.decode(shell.arguments) == {"command": ["ls"]}
    assert isinstance(patch, ResponseCustomToolCall)
    assert (patch.name, patch.input) == ("apply_patch", PATCH)
    assert isinstance(local, LocalShellCall)
    assert (local.action.command, local.action.timeout_ms) == (["pytest", "-q"], 1000)
    assert len({shell.call_id, patch.call_id, local.call_id}) == 3
    (inputs,) = (event for event in seen if event.type == "response.custom_tool_call_input.done")
    assert inputs.input == PATCH


@foreign_providers
async def test_what_codex_says_reaches_the_provider(site: Site, form: FormName) -> None:
    site.models.play = streamed(form)
    content = msgspec.json.encode(CODEX | {"model": FORMS[form][1]})
    headers = {"Content-Type": "application/json", "originator": "codex_cli_rs", "session_id": "0198c0de"}

    reply = await site.node.request("POST", f"/proxy/openai_responses/{form}/responses", headers, content)

    assert reply.status == 200, reply.body
    sent = told(site)
    for piece in ("You are a coding agent.", "<permissions>", "Fix the tests.", "Runs a command.", "a.py"):
        assert piece in sent
    for piece in ("apply_patch", "Begin Patch", "Done.", "lark grammar", "local_shell", "pytest", "1 failed"):
        assert piece in sent
    assert "encrypted_content" not in sent


async def test_a_tool_that_only_openai_has_is_refused_by_name(site: Site) -> None:
    content = msgspec.json.encode(CODEX | {"model": "claude-opus-4-6", "tools": [{"type": "web_search"}]})
    path = "/proxy/openai_responses/anthropic_messages/responses"

    reply = await site.node.request("POST", path, {"Content-Type": "application/json"}, content)

    assert reply.status == 400
    assert "web_search" in reply.body.decode()


async def test_codex_s_request_reaches_openai_as_it_is(site: Site) -> None:
    site.models.play = plain(calling("openai_responses"), kind="text/event-stream")
    body = CODEX | {"model": FORMS["openai_responses"][1]}
    path = "/proxy/openai_responses/openai_responses/responses"

    reply = await site.node.request(
        "POST", path, {"Content-Type": "application/json"}, msgspec.json.encode(body)
    )

    assert reply.body == calling("openai_responses")
    assert site.models.last_body == body
