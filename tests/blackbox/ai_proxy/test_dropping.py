"""What a provider cannot express: refused by name, or dropped where the settings say so."""

from typing import Any

import pytest
from tests.support.ai_proxy import STREAM, TEXT, ask, config, message_of, route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, replay
from tests.support.recordings import recording

CLAUDE = recording("anthropic/messages-text-claude-opus-4-6")
HOSTED = {"type": "web_search", "web_search": {}}


@pytest.fixture(scope="module", autouse=True)
async def routes(node: Gateway, models: ModelServer) -> None:
    claude = {
        "provider": "anthropic",
        "model": "name: claude-haiku-4-5,",
        "options": ', anthropic_version: "2023-06-01"',
    }
    url, drops = f"{models.url}/v1/messages", "drop_unsupported: true"
    more = route("strict", url, **claude) + route("drops", url, more=drops, **claude)
    more += route("drops-same", f"{models.url}/v1/chat/completions", more=drops)
    text = config(models.url, str(node.folder / "log.json"))
    loaded = await node.configure(text.replace("\nplugins:\n", more + "\nplugins:\n"))
    assert loaded.status == 201, loaded.body


FIELDS: list[tuple[str, Any]] = [
    ("logprobs", True),
    ("seed", 7),
    ("presence_penalty", 0.5),
    ("tools", [HOSTED]),
    ("logit_bias", {"50256": -100}),
]


@pytest.mark.parametrize(("name", "value"), FIELDS)
async def test_a_field_that_would_change_the_answer_is_refused_by_name(
    node: Gateway, models: ModelServer, name: str, value: Any
) -> None:
    models.play = replay(CLAUDE)
    before = len(models.received)

    reply = await ask(node, "/strict", **{name: value})

    assert reply.status == 400
    assert message_of(reply).startswith(name)
    assert len(models.received) == before


@pytest.mark.parametrize(("name", "value"), FIELDS)
async def test_it_is_dropped_and_told_where_the_settings_say_so(
    node: Gateway, models: ModelServer, name: str, value: Any
) -> None:
    models.play = replay(CLAUDE)

    reply = await ask(node, "/drops", **{name: value})

    assert (reply.status, reply.headers["x-tollhouse-dropped"]) == (200, name)
    assert name not in models.last_body


async def test_all_that_is_dropped_is_told_also_of_streams(node: Gateway, models: ModelServer) -> None:
    models.play = replay(recording("anthropic/messages-stream-text-claude-3-5-haiku-20241022"))

    reply = await ask(node, "/drops", stream=True, seed=1, logprobs=True, temperature=0.5, user="me")

    assert reply.headers["x-tollhouse-dropped"] == "logprobs, seed"
    assert models.last_body["temperature"] == 0.5


async def test_messages_are_never_dropped(node: Gateway, models: ModelServer) -> None:
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}

    reply = await ask(node, "/drops", messages=[{"role": "user", "content": [sound]}])

    assert reply.status == 400
    assert message_of(reply).startswith("messages[0]")


async def test_nothing_is_dropped_where_both_speak_one_form(node: Gateway, models: ModelServer) -> None:
    models.play = replay(TEXT)

    reply = await ask(node, "/drops-same", seed=1, unheard_of=True)

    assert "x-tollhouse-dropped" not in reply.headers
    assert models.last_body["unheard_of"] is True
    models.play = replay(STREAM)
    assert (await ask(node, "/drops-same", stream=True, seed=1)).status == 200
