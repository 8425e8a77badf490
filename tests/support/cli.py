"""Runs `tollhouse` commands as a user does, and keeps what they print."""

import asyncio
import sys
import tempfile
from dataclasses import dataclass

from tests.support.gateway import clean_environment

END_SECONDS = 30


@dataclass(slots=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    errors: str


async def tollhouse(*arguments: str, **environment: str) -> Ended:
    """Runs a command to its end, with a prefix of its own unless one is given."""
    with tempfile.TemporaryDirectory(prefix="tollhouse-cli-") as prefix:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tollhouse", *arguments),
            env={**clean_environment(), "KONG_PREFIX": prefix, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(END_SECONDS):
                output, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            raise
    assert process.returncode is not None
    return Ended(process.returncode, output.decode(), errors.decode())
