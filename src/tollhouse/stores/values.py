"""Values by key that outlive a process: in files of this node, or where all nodes find them."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote, unquote

_LONGEST_NAME: Final = 200


class ValuesError(Exception):
    """The values cannot be reached."""


class Values(Protocol):
    """All methods raise `ValuesError`. Times are in seconds; without one a value stays."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes, seconds: float | None = None) -> None: ...

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        """Whether there was no such key and now there is, for so long."""
        ...

    async def delete(self, key: str) -> None: ...

    async def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        ...

    def close(self) -> None:
        """Lets go of what was taken; raises nothing."""
        ...


class FileValues:
    """Files that only their owner may read. What has a time to live is kept in memory, for this process."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._passing: dict[str, tuple[bytes, float]] = {}

    async def get(self, key: str) -> bytes | None:
        value, ends = self._passing.get(key, (None, 0.0))
        if value is not None and ends > self._clock():
            return value
        try:
            return self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValuesError(str(error)) from error

    async def put(self, key: str, value: bytes, seconds: float | None = None) -> None:
        if seconds is not None:
            self._passing[key] = (value, self._clock() + seconds)
            return
        file = self._file(key)
        fresh = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_bytes(value)
            fresh.replace(file)
        except OSError as error:
            raise ValuesError(str(error)) from error

    async def add(self, key: str, value: bytes, seconds: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, value, seconds)
        return True

    async def delete(self, key: str) -> None:
        self._passing.pop(key, None)
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise ValuesError(str(error)) from error

    async def keys(self, prefix: str) -> list[str]:
        if not self._folder.is_dir():
            return []
        names = sorted(unquote(file.name) for file in self._folder.iterdir() if not file.name.startswith("."))
        return [name for name in names if name.startswith(prefix)]

    def close(self) -> None:
        """Files are open only while they are read or written."""

    def _file(self, key: str) -> Path:
        name = quote(key, safe="")
        if len(name) > _LONGEST_NAME or name.startswith("."):
            raise ValuesError(f"no file can be called {name}")
        return self._folder / name
