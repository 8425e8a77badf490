"""Which target is asked first, and what a configuration may not say."""

import pytest
from tests.support.ai_proxy import TEXT, ask, message_of
from tests.support.gateway import Gateway
from tests.support.models import plain, replay
from tests.support.recordings import recording
from tests.support.targets import OPENAI, Servers, service

CLAUDE_TEXT = recording("anthropic/messages-text-claude-opus-4-6")


async def test_targets_come_in_turn_by_their_weights(node: Gateway, servers: Servers) -> None:
    servers.openai.play, servers.claude.play = replay(TEXT), replay(CLAUDE_TEXT)
    before = servers.asked

    for _ in range(6):
        assert (await ask(node, "/turns")).status == 200

    assert servers.asked == (before[0] + 4, before[1] + 2)


async def test_equal_callers_get_equal_targets(node: Gateway, servers: Servers) -> None:
    servers.openai.play, servers.claude.play = replay(TEXT), replay(CLAUDE_TEXT)
    chosen: dict[str, set[str]] = {}

    for number in range(30):
        who = f"caller-{number % 10}"
        reply = await ask(node, "/hashed", headers={"X-Who": who})
        chosen.setdefault(who, set()).add(reply.headers["x-tollhouse-provider"])

    assert all(len(providers) == 1 for providers in chosen.values())
    assert set().union(*chosen.values()) == {"openai", "anthropic"}


async def test_a_target_that_fails_too_often_is_left_alone(node: Gateway, servers: Servers) -> None:
    servers.openai.play = plain(b"", 200)
    assert (await ask(node, "/broken")).status == 500
    asked = servers.asked

    reply = await ask(node, "/broken")

    assert (reply.status, message_of(reply)) == (500, "all targets are out of service for now")
    assert servers.asked == asked


@pytest.mark.parametrize(
    ("balancer", "more", "message"),
    [
        ("algorithm: semantic", "", "balancer.algorithm 'semantic' needs embeddings"),
        ("tokens_count_strategy: llm-accuracy", "", "needs ai-llm-as-judge"),
        ("failover_criteria: [http_418]", "", "expected one of"),
        ("", "vectordb: {}", "unknown field"),
        ("", "acls: {}", "unknown field"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    node: Gateway, balancer: str, more: str, message: str
) -> None:
    target = OPENAI.format(weight=1, url="http://127.0.0.1:1", route_type="llm/v1/chat")
    text = service("wrong", target, balancer=balancer, more=more or "model_name_header: true")

    refused = await node.configure('_format_version: "3.0"\nservices:' + text)

    assert refused.status == 400
    assert message in refused.body.decode()
