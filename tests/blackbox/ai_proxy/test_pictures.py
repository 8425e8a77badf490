"""Pictures that clients name by URL, for providers that want the bytes."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from tests.support.ai_proxy import ask, message_of, route
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording
from tests.support.upstream import Received, Upstream

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))
ANSWER = replay(recording("gemini/generate-text-gemini-2.5-flash-lite"))
PRIVATE = "limits: {picture_private_addresses: true, picture_size: 4096, picture_timeout: 1000}"


@pytest.fixture(scope="module")
async def site() -> AsyncIterator[Upstream]:
    """Where the pictures are."""
    upstream = Upstream(answer=show)
    await upstream.start()
    yield upstream
    await upstream.stop()


async def show(received: Received, writer: asyncio.StreamWriter) -> bool:
    match received.target:
        case "/cat.png":
            return await plain(PNG, kind="application/octet-stream")(received, writer)
        case "/moved":
            return await plain(b"", 302, "Location: /cat.png")(received, writer)
        case "/large.png":
            return await plain(PNG + bytes(5000), kind="image/png")(received, writer)
        case "/page":
            return await plain(b"<html>", kind="text/html")(received, writer)
        case "/slow":
            while not writer.transport.is_closing():
                await asyncio.sleep(0.02)
            return False
        case _:
            return await plain(b"", 404)(received, writer)


@pytest.fixture(scope="module", autouse=True)
async def routes(node: Gateway, models: ModelServer) -> None:
    google = {"provider": "gemini", "model": "name: gemini-2.5-flash,"}
    url = f"{models.url}/v1beta/models/gemini-2.5-flash:generateContent"
    lama = {"provider": "ollama", "model": "name: llava,", "auth": ""}
    text = (
        route("gemini", url, **google, more=PRIVATE)
        + route("claudes", url, **google, more=PRIVATE + "\n      llm_format: anthropic")
        + route("strict", url, **google)
        + route("never", url, **google, more="limits: {picture_size: 0}")
        + route("llava", f"{models.url}/api/chat", **lama, more=PRIVATE)
        + route("openai", f"{models.url}/v1/chat/completions")
    )
    loaded = await node.configure('_format_version: "3.0"\nservices:' + text)
    assert loaded.status == 201, loaded.body


def shown(*urls: str) -> list[dict[str, Any]]:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]


@pytest.mark.parametrize("path", ["/cat.png", "/moved"])
async def test_a_picture_is_fetched_for_who_wants_its_bytes(
    node: Gateway, models: ModelServer, site: Upstream, path: str
) -> None:
    models.play = ANSWER

    reply = await ask(node, "/gemini", messages=shown(site.url + path, site.url + path))

    assert reply.status == 200, reply.body
    _, *pictures = models.last_body["contents"][0]["parts"]
    inline = {"mimeType": "image/png", "data": b64encode(PNG).decode()}
    assert [picture["inlineData"] for picture in pictures] == [inline, inline]


async def test_ollama_gets_it_as_well(node: Gateway, models: ModelServer, site: Upstream) -> None:
    models.play = replay(recording("ollama/api-chat-text-llama3"))

    reply = await ask(node, "/llava", messages=shown(f"{site.url}/cat.png"))

    assert reply.status == 200, reply.body
    assert models.last_body["messages"][0]["images"] == [b64encode(PNG).decode()]


async def test_so_it_is_for_clients_of_anthropic_s_form(
    node: Gateway, models: ModelServer, site: Upstream
) -> None:
    models.play = ANSWER
    source = {"type": "url", "url": f"{site.url}/cat.png"}
    messages = [{"role": "user", "content": [{"type": "image", "source": source}]}]

    reply = await ask(node, "/claudes", messages=messages, max_tokens=9)

    assert reply.status == 200, reply.body
    assert models.last_body["contents"][0]["parts"][0]["inlineData"]["mimeType"] == "image/png"


@pytest.mark.parametrize(
    ("route_path", "path", "why"),
    [
        ("/gemini", "/large.png", "more than 4096 bytes"),
        ("/gemini", "/page", "there is no picture"),
        ("/gemini", "/gone", "status 404"),
        ("/gemini", "/slow", "did not answer in time"),
        ("/strict", "/cat.png", "is no address on the public internet"),
    ],
)
async def test_what_cannot_be_had_is_refused(
    node: Gateway, site: Upstream, route_path: str, path: str, why: str
) -> None:
    asked = len(site.received)

    reply = await ask(node, route_path, messages=shown(site.url + path))

    assert reply.status == 400
    assert why in message_of(reply)
    if route_path == "/strict":
        assert len(site.received) == asked


async def test_whoever_takes_urls_gets_urls(node: Gateway, models: ModelServer, site: Upstream) -> None:
    models.play = replay(recording("openai/chat-text-gpt-4o-mini"))
    asked = len(site.received)

    await ask(node, "/openai", messages=shown(f"{site.url}/cat.png"))

    assert len(site.received) == asked
    assert f"{site.url}/cat.png" in models.last.body.decode()
    await ask(node, "/never", messages=shown(f"{site.url}/cat.png"))
    assert len(site.received) == asked
    assert msgspec.json.decode(models.last.body)
