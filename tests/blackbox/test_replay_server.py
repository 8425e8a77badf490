"""`tollhouse replay-server`, and a gateway before it whose answers do not depend on how they are cut."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from anthropic import AsyncAnthropic
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import APIError, AsyncOpenAI, RateLimitError
from tests.support.cli import tollhouse
from tests.support.gateway import Gateway, clean_environment
from tests.support.recordings import FOLDER, recording

from tollhouse.replay.choice import Repertoire
from tollhouse.replay.script import Manner
from tollhouse.replay.server import ReplayServer

HELLO: Any = [{"role": "user", "content": "hi"}]
STREAM = recording("openai/chat-stream-include-usage-gpt-4o-mini")
NAMES = (
    STREAM.name,
    "anthropic/messages-stream-parallel-tools-claude-3-5-sonnet-20240620",
    "gemini/generate-stream-tool-result-gemini-2.5-flash",
)
MODELS = ("gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash")
CONFIG = """
_format_version: "3.0"
services:
- name: llm
  url: http://127.0.0.1:1
  routes: [{{name: llm, paths: [/v1], strip_path: false}}]
  plugins:
  - name: ai-gateway
    config:
      providers:
      - {{name: openai, key: k, base_url: "{url}"}}
      - {{name: anthropic, key: k, base_url: "{url}"}}
      - {{name: gemini, key: k, base_url: "{url}"}}
"""


@pytest.fixture(scope="module")
async def command() -> AsyncIterator[str]:
    """The address of a running command."""
    folder = str(FOLDER)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tollhouse", "replay-server", folder, "--port", "0", "--split", "11"),
        env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
    yield line.split()[-1]
    process.terminate()
    await process.communicate()


async def said(client: AsyncOpenAI, **headers: str) -> str:
    chunks = await client.chat.completions.create(
        model="gpt-4o-mini",
        messages=HELLO,
        stream=True,
        extra_headers={name.replace("_", "-"): value for name, value in headers.items()},
    )
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks if chunk.choices])


async def test_a_client_is_drilled(command: str) -> None:
    async with AsyncOpenAI(base_url=f"{command}/v1", api_key="x", max_retries=0, timeout=20) as client:
        text = await said(client, x_replay=STREAM.name)
        wrong = await said(client, x_replay=STREAM.name, x_replay_fault="wrong-usage")
        with pytest.raises(RateLimitError) as caught:
            await said(client, x_replay=STREAM.name, x_replay_fault="429")
        with pytest.raises(Exception, match="Connection error"):
            await said(client, x_replay=STREAM.name, x_replay_fault="cut")
        with pytest.raises(APIError, match="nothing was recorded"):
            await client.moderations.create(input="x")
        with pytest.raises(APIError, match="expected one of cut"):
            await said(client, x_replay=STREAM.name, x_replay_fault="nonsense")

    assert text == wrong != ""
    assert caught.value.response.headers["retry-after"] == "1"


async def test_a_stalled_answer_lasts_until_the_client_has_enough(command: str) -> None:
    async with AsyncOpenAI(base_url=f"{command}/v1", api_key="x", max_retries=0, timeout=0.3) as client:
        with pytest.raises(Exception, match=r"(?i)timed? ?out"):
            await said(client, x_replay=STREAM.name, x_replay_fault="stall")


async def test_what_is_no_recording() -> None:
    ended = await tollhouse("replay-server", str(FOLDER / "MANIFEST.tsv"))

    assert ended.code == 1
    assert "MANIFEST.tsv" in ended.errors


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[ReplayServer]:
    server = await ReplayServer(Repertoire([recording(name) for name in NAMES])).start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def node(server: ReplayServer) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG.format(url=server.url))
    yield gateway
    await gateway.stop()


async def body_of(node: Gateway, path: str, model: str) -> bytes:
    body = {"model": model, "messages": HELLO, "stream": True, "max_tokens": 9}
    fields = {"Content-Type": "application/json"}
    reply = await node.request("POST", path, fields, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    # ids and times are made up for providers that tell none
    lines = [line for line in reply.body.split(b"\n") if line.startswith(b"data: {")]
    events = [json.loads(line[6:]) for line in lines]
    for event in events:
        event.pop("id", None)
        event.pop("created", None)
        event.get("message", {}).pop("id", None)
    return json.dumps(events).encode()


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(size=st.integers(1, 3000))
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("model", MODELS)
async def test_where_a_provider_cuts_its_stream_changes_nothing(
    node: Gateway, server: ReplayServer, path: str, model: str, size: int
) -> None:
    server.manner = Manner()
    uncut = await body_of(node, path, model)
    server.manner = Manner(split_bytes=size)

    assert await body_of(node, path, model) == uncut


async def test_a_fault_of_the_provider_reaches_the_client_in_its_own_form(
    node: Gateway, server: ReplayServer
) -> None:
    host, port = node.proxy
    server.manner = Manner(fault="cut")
    async with AsyncAnthropic(base_url=f"http://{host}:{port}", api_key="x", max_retries=0) as client:
        with pytest.raises(Exception, match="broke off"):
            async with client.messages.stream(
                model="gpt-4o-mini",
                max_tokens=9,
                messages=HELLO,
            ) as stream:
                await stream.get_final_message()
