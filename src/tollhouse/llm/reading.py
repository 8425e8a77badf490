"""What all readers of streams of server-sent events have in common: bytes in, deltas out, one end."""

from abc import ABC, abstractmethod
from typing import Final

from tollhouse.errors import PeerError
from tollhouse.llm.chat import Delta, Failed, Ping, Trouble
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent, SseReader

_COMMENT: Final = b":"
ENDED_EARLY: Final = "the provider's stream ended early"


class EventDecoder(ABC):
    """Reads one stream (`form.StreamDecoder`); a form reads its events by `_event`, and sets `_over` with the
    last of them. A stream that ends before that has failed."""

    __slots__ = ("_begun", "_over", "_reader", "skipped")

    def __init__(self) -> None:
        self._reader = SseReader()
        self._over = False
        self._begun = False
        #: events that could not be read
        self.skipped = 0

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        try:
            for event in self._reader.feed(data):
                if event.raw.startswith(_COMMENT) and event.is_comment:
                    # It keeps the connection alive; before the answer has begun there is none to keep.
                    if (deltas or self._begun) and not self._over:
                        deltas.append(Ping())
                else:
                    self._event(event, deltas)
        except PeerError as error:
            self._fail(f"the provider's stream cannot be read: {error}", deltas)
        self._begun = self._begun or bool(deltas)
        return deltas

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._reader.end():
            self._event(event, deltas)
        self._fail(ENDED_EARLY, deltas)
        return deltas

    @abstractmethod
    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        """Appends what the event tells."""

    def _counted(self) -> Usage | None:
        """What was told of usage until now: it has to be paid for though the stream fails."""
        return None

    def _fail(self, message: str, deltas: list[Delta], trouble: Trouble = "upstream_error") -> None:
        if not self._over:
            self._over = True
            deltas.append(Failed(message, trouble, self._counted()))
