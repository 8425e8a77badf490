"""ai-prompt-decorator, ai-prompt-guard and ai-prompt-template in front of whatever takes the request."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.gateway import Gateway, Reply
from tests.support.lines import lines_of
from tests.support.upstream import Upstream

JSON = {"Content-Type": "application/json"}
BEFORE = [{"role": "system", "content": "rules"}, {"content": "first", "role": "assistant"}]
BEHIND = [{"role": "user", "content": "last"}]
TEMPLATES = [
    {"name": "chat", "template": '{"messages":[{"role":"user","content":"say {{thing}} to {{who}}"}]}'},
    {"name": "text", "template": '{"prompt":"tell {{thing}}"}'},
]
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "decorate": ("ai-prompt-decorator", {"prompts": {"prepend": BEFORE, "append": BEHIND}}),
    "gemini": (
        "ai-prompt-decorator",
        {"prompts": {"prepend": BEFORE, "append": BEHIND}, "llm_format": "gemini"},
    ),
    "bedrock": (
        "ai-prompt-decorator",
        {"prompts": {"prepend": BEFORE, "append": BEHIND}, "llm_format": "bedrock"},
    ),
    "small": ("ai-prompt-decorator", {"prompts": {"append": BEHIND}, "max_request_body_size": 60}),
    "guard": ("ai-prompt-guard", {"deny_patterns": ["bad", "(?<=x)y"], "allow_patterns": ["cats|fine"]}),
    "no-pattern": ("ai-prompt-guard", {"deny_patterns": ["bad", "["]}),
    "newest": ("ai-prompt-guard", {"deny_patterns": ["bad"], "allow_all_conversation_history": True}),
    "roles": ("ai-prompt-guard", {"deny_patterns": ["bad"], "match_all_roles": True}),
    "guard-gemini": ("ai-prompt-guard", {"deny_patterns": ["bad"], "llm_format": "gemini"}),
    "template": ("ai-prompt-template", {"templates": TEMPLATES, "log_original_request": True}),
    "strict": ("ai-prompt-template", {"templates": TEMPLATES, "allow_untemplated_requests": False}),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prompts") / "log"


@pytest.fixture(scope="module")
async def node(upstream: Upstream, log: Path) -> AsyncIterator[Gateway]:
    routes = [
        {"name": name, "paths": [f"/{name}"], "plugins": [{"name": plugin, "config": config}]}
        for name, (plugin, config) in CONFIGS.items()
    ]
    document = {
        "_format_version": "3.0",
        "services": [{"name": "s", "url": upstream.url, "routes": routes}],
        "plugins": [{"name": "file-log", "config": {"path": str(log)}}],
    }
    gateway = await Gateway.start(yaml.safe_dump(document))
    yield gateway
    await gateway.stop()


async def post(node: Gateway, path: str, body: Any, headers: dict[str, str] = JSON) -> Reply:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await node.request("POST", f"/{path}", headers, content)


def chat(*turns: str) -> dict[str, Any]:
    """Messages as `role: text`."""
    pairs = (turn.split(": ", 1) for turn in turns)
    return {"messages": [{"role": role, "content": text} for role, text in pairs], "n": 1}


def error_of(reply: Reply) -> Any:
    body = reply.json()
    assert isinstance(body, dict)
    return reply.status, body["error"]["message"]


async def test_messages_are_put_around_those_of_the_client(node: Gateway, upstream: Upstream) -> None:
    assert (await post(node, "decorate", chat("user: hi"))).status == 200
    expected = chat("system: rules", "assistant: first", "user: hi", "user: last")
    assert json.loads(upstream.received[-1].body) == expected


async def test_geminis_and_bedrocks_system_prompts_have_a_place_of_their_own(
    node: Gateway, upstream: Upstream
) -> None:
    given = {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "own"}]},
    }
    assert (await post(node, "gemini", given)).status == 200
    assert json.loads(upstream.received[-1].body) == {
        "contents": [
            {"role": "model", "parts": [{"text": "first"}]},
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "user", "parts": [{"text": "last"}]},
        ],
        "systemInstruction": {"parts": [{"text": "rules"}, {"text": "own"}]},
    }
    assert (
        await post(node, "bedrock", {"messages": [{"role": "user", "content": [{"text": "hi"}]}]})
    ).status == 200
    assert json.loads(upstream.received[-1].body) == {
        "messages": [
            {"role": "assistant", "content": [{"text": "first"}]},
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "user", "content": [{"text": "last"}]},
        ],
        "system": [{"text": "rules"}],
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"prompt": "x"}, "this LLM route only supports llm/chat type requests"),
        ({"messages": []}, "this LLM route only supports llm/chat type requests"),
        (b"{broken", "request body doesn't contain valid prompts"),
        ([1], "request body doesn't contain valid prompts"),
    ],
)
async def test_what_is_no_chat_is_not_decorated(node: Gateway, body: Any, message: str) -> None:
    assert error_of(await post(node, "decorate", body)) == (400, message)


async def test_requests_that_are_too_large_are_refused(node: Gateway) -> None:
    assert (await post(node, "small", chat("user: " + "x" * 2_000_000))).status == 413


@pytest.mark.parametrize(
    ("path", "body", "passes"),
    [
        ("guard", chat("user: fine"), True),
        ("guard", chat("user: dogs"), False),
        ("guard", chat("user: bad cats"), False),
        ("guard", chat("user: xy cats"), False),
        ("guard", chat("user: bad", "user: fine"), False),
        ("guard", chat("system: bad", "user: fine"), True),
        ("guard", {"prompt": "cats"}, True),
        ("guard", {"prompt": "bad"}, False),
        ("guard", {"messages": [{"role": "user", "content": [{"type": "text", "text": "fine"}]}]}, False),
        ("newest", chat("user: bad", "assistant: hm", "user: fine"), True),
        ("newest", chat("user: fine", "user: bad"), False),
        ("roles", chat("system: bad", "user: ok"), False),
        ("guard", {"messages": [{"content": "fine"}]}, False),
        ("guard-gemini", {"contents": [{"role": "user", "parts": [{"text": "a bad one"}]}]}, False),
        ("guard-gemini", {"contents": [{"parts": [{"text": "good"}]}]}, True),
    ],
)
async def test_a_guard_lets_through_or_not(node: Gateway, path: str, body: Any, passes: bool) -> None:
    reply = await post(node, path, body)
    assert reply.status == 200 if passes else error_of(reply) == (400, "bad request")


async def test_a_pattern_that_is_none_lets_nothing_through(node: Gateway, upstream: Upstream) -> None:
    seen = len(upstream.received)
    assert (await post(node, "no-pattern", chat("user: bad"))).status == 400
    assert (await post(node, "no-pattern", chat("user: good"))).status == 500
    assert len(upstream.received) == seen


@pytest.mark.parametrize("body", [b"", b"[]", {}, {"messages": "x"}])
async def test_a_guard_refuses_what_holds_no_prompt(node: Gateway, body: Any) -> None:
    assert error_of(await post(node, "guard", body)) == (400, "request body doesn't contain valid prompts")


async def test_a_template_is_filled_in_and_replaces_the_request(
    node: Gateway, upstream: Upstream, log: Path
) -> None:
    given = {"messages": "{template://chat}", "properties": {"thing": 'a "quote"\n', "who": "é"}}
    assert (await post(node, "template", given)).status == 200
    assert json.loads(upstream.received[-1].body) == {
        "messages": [{"role": "user", "content": 'say a "quote"\n to é'}]
    }
    given = {"prompt": "{template://text}", "properties": {"thing": "x", "more": "y"}}
    assert (await post(node, "strict", given)).status == 200
    assert json.loads(upstream.received[-1].body) == {"prompt": "tell x"}
    while True:
        records = [json.loads(line) for line in await lines_of(log, 1)]
        originals = [r["ai"]["payload"]["original_request"] for r in records if "ai" in r]
        if originals:
            break
    assert json.loads(originals[0])["messages"] == "{template://chat}"


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("strict", chat("user: x"), "this LLM route only supports templated requests"),
        (
            "template",
            {"messages": "{template://a}", "prompt": "{template://b}"},
            "cannot run 'messages' and 'prompt' templates at the same time",
        ),
        (
            "template",
            {"input": "x"},
            "only 'llm/v1/chat' and 'llm/v1/completions' formats are supported for templating",
        ),
        ("template", {"messages": "{template://none}"}, "could not find template name [none]"),
        ("template", {"messages": "{template://chat}"}, "missing template parameters: [thing], [who]"),
        (
            "template",
            {"messages": "{template://chat}", "properties": {"thing": 1, "who": "x"}},
            "property values must be a string, got number",
        ),
    ],
)
async def test_what_is_wrong_with_a_templated_request(
    node: Gateway, path: str, body: Any, message: str
) -> None:
    assert error_of(await post(node, path, body)) == (400, message)


async def test_templates_are_for_json_alone(node: Gateway, upstream: Upstream) -> None:
    reply = await post(node, "template", b"x", {"Content-Type": "text/plain"})
    assert error_of(reply) == (400, "this LLM route only supports application/json requests")
    assert (await post(node, "template", chat("user: as it is"))).status == 200
    assert json.loads(upstream.received[-1].body) == chat("user: as it is")
