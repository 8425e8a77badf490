"""`tollhouse quickstart`: what it shows is true, what it prints can be pasted, and nothing stays behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from tests.support.gateway import clean_environment

COMMAND = (sys.executable, "-m", "tollhouse", "quickstart")
PORTS = {"KONG_PROXY_LISTEN": "127.0.0.1:0", "KONG_ADMIN_LISTEN": "127.0.0.1:0"}
SECONDS = 120


def environment() -> dict[str, str]:
    return {**clean_environment(), **PORTS}


async def test_it_shows_what_happened_and_ends_when_told_once() -> None:
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--once", env=environment(), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(SECONDS):
        output = (await process.communicate())[0].decode()

    assert process.returncode == 0, output
    rows = [line for line in output.splitlines() if re.search(r" \d{3} +[\d.]+ ms ", line)]
    assert [re.search(r" (\d{3}) ", row)[1] for row in rows] == ["200", "401", "200", "200", "429"]  # type: ignore[index]
    chat, streamed = rows[2:4]
    for row in (chat, streamed):
        tokens = re.search(r"(\d+) \+ (\d+) +\$(\S+) ", row)
        assert tokens is not None, row
        prompt, completion, cost = int(tokens[1]), int(tokens[2]), float(tokens[3])
        assert prompt > 0
        assert completion > 0
        assert abs(cost - (prompt * 0.15 + completion * 0.60) / 1e6) < 1e-8
    assert "local/smollm2 said: " in chat
    assert "chunks after" in streamed
    assert "No API key found in request" in rows[1]
    assert "API rate limit exceeded: 5 a minute" in rows[4]


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A quickstart that has sent its requests, and what it printed so far."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment(),
        stdout=asyncio.subprocess.PIPE,
        # What runs in a shell's background would inherit that Ctrl-C is ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    output = ""
    async with asyncio.timeout(SECONDS):
        while "print(client" not in output:
            line = await process.stdout.readline()
            assert line, output
            output += line.decode()
    try:
        yield process, output
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(SECONDS):
                await process.wait()


def children_of(pid: int) -> list[int]:
    """All processes under that one."""
    found = []
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(number), *children_of(int(number))]
    return found


async def test_it_serves_on_with_lines_that_can_be_pasted() -> None:
    async with serving() as (process, output):
        curls = [line.strip() for line in output.splitlines() if line.startswith("  curl ")]
        assert len(curls) == 3
        python = "\n".join(
            line.strip()
            for line in output[output.index("from openai") :].splitlines()
            if line.startswith("  ")
        )
        answers = [await shell(f"{line} --silent --fail-with-body") for line in curls[1:]]
        said = await run(sys.executable, "-c", f"from openai import OpenAI\n{python}")
        below = children_of(process.pid)

        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(SECONDS):
            assert await process.wait() == 0

    assert '"object":"chat.completion"' in answers[0]
    assert "kong_ai_llm_tokens_total" in answers[1]
    assert "ChatCompletion(" in said
    assert below
    assert not [pid for pid in below if Path(f"/proc/{pid}").exists()]


async def shell(line: str) -> str:
    return await run("sh", "-c", line)


async def run(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"}
    )
    async with asyncio.timeout(SECONDS):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    return output
