"""anthropic's client for Claude on Vertex: the model in the path, the version in the body."""

import asyncio
import json
from collections.abc import Iterator

import anthropic
import pytest
from tests.support.models import replay
from tests.support.recordings import recording
from tests.support.sdks.anthropic_messages import MESSAGES, AnthropicOnVertex
from tests.support.sdks.site import SOME, Site

TEXT = "anthropic/messages-text-claude-opus-4-6"


@pytest.fixture
def client(site: Site) -> Iterator[AnthropicOnVertex]:
    client = AnthropicOnVertex(site.url)
    yield client
    client.close()


@pytest.mark.parametrize("name", SOME)
async def test_an_answer_is_what_the_provider_s_own_sdk_sees(
    site: Site, client: AnthropicOnVertex, name: str
) -> None:
    await site.compare_compatible(client, name)


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropic_gets_a_request_of_its_own(
    site: Site, client: AnthropicOnVertex, stream: bool
) -> None:
    name = "anthropic/messages-stream-parallel-tools-claude-3-5-sonnet-20240620" if stream else TEXT
    site.models.play = replay(recording(name))
    site.models.received.clear()

    await asyncio.to_thread(client.ask, "claude-opus-4@20250514", stream=stream)

    (received,) = site.models.received
    body = json.loads(received.body)
    assert received.target == "/v1/messages"
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert (body["model"], body["stream"]) == ("claude-opus-4-20250514", stream)
    assert "anthropic_version" not in body


async def test_on_a_route_of_ai_proxy(site: Site) -> None:
    client = AnthropicOnVertex(f"{site.url}/proxy/anthropic_messages/anthropic_messages")
    site.models.play = replay(recording(TEXT))

    seen = await asyncio.to_thread(client.ask, "claude-opus-4-6", stream=False)

    client.close()
    assert seen.text
    assert "anthropic_version" not in json.loads(site.models.received[-1].body)


async def test_tokens_are_counted(site: Site, client: AnthropicOnVertex) -> None:
    counted = await asyncio.to_thread(
        client.sdk.messages.count_tokens, model="openai/gpt-4.1", messages=MESSAGES
    )

    assert counted.input_tokens > 0


async def test_a_body_that_is_no_request_is_refused(site: Site, client: AnthropicOnVertex) -> None:
    path = "/projects/p/locations/l/publishers/anthropic/models/claude-opus-4:rawPredict"

    with pytest.raises(anthropic.BadRequestError):
        await asyncio.to_thread(client.sdk.post, path, cast_to=object, body=[1])
