"""The last configuration of a file that could be served, kept for a start when the file cannot be."""

import hashlib
import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger("tollhouse.configuration")

_FOLDER: Final = "last-good"


class LastGood:
    """The text as it stood in the file: what it refers to, in the environment or a vault, is not in it."""

    def __init__(self, prefix: Path, file: Path) -> None:
        name = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:32]
        #: readable to this user alone
        self.path = prefix / _FOLDER / f"{name}{file.suffix}"

    def keep(self, text: str) -> None:
        """Replaces what is kept. A disk that cannot be written to is logged: the node serves on."""
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as writing:
                writing.write(text)
                writing.flush()
                os.fsync(descriptor)
            fresh.replace(self.path)
        except OSError as error:
            log.warning("cannot keep the configuration under %s: %s", self.path, error.strerror)

    def text(self) -> str | None:
        """What is kept, if anything is."""
        try:
            return self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
