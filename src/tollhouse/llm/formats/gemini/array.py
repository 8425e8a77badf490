"""A stream that is one JSON array: cut into its objects as they arrive."""

import re
from typing import Final

from tollhouse.errors import PeerError

OBJECT_LIMIT_BYTES: Final = 16 * 1024 * 1024
#: what opens, closes, or may hide either in a text
_MARKS: Final = re.compile(rb'[{}"]')
_TEXT_MARKS: Final = re.compile(rb'\\.|"', re.DOTALL)


class ArrayReader:
    """What stands between the objects is skipped; a single object without brackets is one as well."""

    def __init__(self) -> None:
        self._held = b""
        #: how far what is held has been looked at
        self._at = 0
        self._depth = 0
        self._in_text = False

    def feed(self, data: bytes) -> list[bytes]:
        """The objects that are complete with these bytes."""
        held = self._held + data
        objects = []
        start = 0
        at = self._at
        while (mark := (_TEXT_MARKS if self._in_text else _MARKS).search(held, at)) is not None:
            at = mark.end()
            match mark[0]:
                case b'"':
                    self._in_text = not self._in_text
                case b"{":
                    if self._depth == 0:
                        start = mark.start()
                    self._depth += 1
                case b"}":
                    self._depth = max(0, self._depth - 1)
                    if self._depth == 0:
                        objects.append(held[start:at])
                        start = at
                case _:
                    pass  # an escaped character
        if self._depth == 0 and not self._in_text:
            start = at = len(held)
        # A backslash at the end waits for what it escapes.
        self._at = max(at, len(held) - 1 if self._in_text and held.endswith(b"\\") else len(held)) - start
        self._held = held[start:]
        if len(self._held) > OBJECT_LIMIT_BYTES:
            raise PeerError("an object of a stream is too large")
        return objects
