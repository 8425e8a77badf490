"""Waiting for lines that another process writes to a file."""

import asyncio
from pathlib import Path


async def lines_of(path: Path, at_least: int) -> list[str]:
    """The whole lines of a file, once there are so many."""
    async with asyncio.timeout(15):
        while True:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if text.count("\n") >= at_least:
                return text.splitlines()
            await asyncio.sleep(0.005)
