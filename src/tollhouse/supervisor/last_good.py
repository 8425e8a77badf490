"""The last configuration that could be served, kept for a start when its file or database cannot be read."""

import hashlib
import logging
import os
from pathlib import Path
from typing import Final

import msgspec

from tollhouse.model.snapshot import Snapshot, decode

log = logging.getLogger("tollhouse.configuration")

_FOLDER: Final = "last-good"
_DIGEST_BYTES: Final = 32


class LastGood:
    """The text as it stood in the file: what it refers to, in the environment or a vault, is not in it."""

    def __init__(self, prefix: Path, file: Path) -> None:
        name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:32]
        #: readable to this user alone
        self.path = prefix / _FOLDER / f"{name}{file.suffix}"

    def keep(self, text: str) -> None:
        """Replaces what is kept. A disk that cannot be written to is logged: the node serves on."""
        _replace(self.path, text.encode())

    def text(self) -> str | None:
        """What is kept, if anything is."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None


class KeptSnapshot:
    """What a database held. It is given out only if it is whole."""

    def __init__(self, prefix: Path, database: str) -> None:
        name = hashlib.sha256(database.encode()).hexdigest()[:32]
        self._path = prefix / _FOLDER / f"{name}.snapshot"

    def keep(self, encoded: bytes) -> None:
        """Replaces what is kept, as `LastGood` does."""
        _replace(self._path, hashlib.sha256(encoded).digest() + encoded)

    def read(self) -> Snapshot | None:
        """What is kept, if it is whole and this version can read it."""
        try:
            data = self._path.read_bytes()
            digest, encoded = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
            if hashlib.sha256(encoded).digest() == digest:
                return decode(encoded)
            log.error("%s is damaged", self._path)
        except FileNotFoundError:
            log.info("%s does not exist yet", self._path)
        except (OSError, msgspec.MsgspecError, KeyError) as error:
            log.error("cannot read what was kept in %s: %s", self._path, error)
        return None


def _replace(path: Path, data: bytes) -> None:
    """Replaces a file whole. A disk that cannot be written to is logged: the node serves on."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as writing:
            writing.write(data)
            writing.flush()
            os.fsync(descriptor)
        fresh.replace(path)
    except OSError as error:
        log.warning("cannot keep the configuration under %s: %s", path, error.strerror)
