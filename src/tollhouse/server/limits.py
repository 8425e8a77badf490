"""What a client may cost: sizes in bytes, waits in seconds. Defaults are nginx's."""

from dataclasses import dataclass
from typing import Final

from tollhouse.errors import BadRequest
from tollhouse.wire.http1 import has_bare_lf

#: what may stand on a line beside the target or the value that has to fit a buffer: method and version, a
#: name, the end. nginx has no such allowance, but clients are known that send values of nearly 8 KiB.
_BESIDE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one listener."""

    line_bytes: int = 8192
    """Longest target and value of a head (`large_client_header_buffers`)."""
    head_bytes: int = 32768
    body_bytes: int = 0
    """Largest request body, 0 for any (`client_max_body_size`)."""
    window_bytes: int = 65536
    """Request bytes held for a target that takes no more, before reading from the client pauses."""
    header_seconds: float = 60.0
    body_seconds: float = 60.0
    send_seconds: float = 60.0
    idle_seconds: float = 75.0
    requests: int = 1_000_000
    """Requests on one connection (`keepalive_requests`)."""
    linger_seconds: float = 5.0
    """How long unread bytes of a refused request are still taken, so that the answer arrives."""
    half_closed_seconds: float = 1.0
    """How long a client that closed its sending side counts as still there without proof."""

    def check_head(self, data: bytes, end: int) -> None:
        """Judges the size of the head that ends at `end`, or of what there is of it."""
        if end <= self.line_bytes:
            return
        longest = self.line_bytes + _BESIDE_BYTES
        line_end = data.find(b"\r\n", 0, end)
        if (line_end if line_end >= 0 else end) > longest:
            raise BadRequest("the request line is too long", 414)
        if end > self.head_bytes or max(map(len, data[:end].split(b"\r\n"))) > longest:
            raise BadRequest("the request head is too large", 494)

    def check_beginning(self, data: bytes, *, is_all: bool) -> None:
        """Judges the beginning of a head whose end is not here yet, and never will be if that `is_all`."""
        self.check_head(data, len(data))
        if has_bare_lf(data):
            raise BadRequest("a line ends in LF alone")
        if is_all:
            raise BadRequest("the request ended early")
