"""Handing records over to collectors: in batches, in the background, never in a request's way."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from tollhouse.model.schema import setting

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
#: hands a batch over; raises `Undelivered`, `UpstreamFault` or `OSError` if it did not arrive
Send = Callable[[Sequence[T]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """Kong's `queue` record."""

    max_batch_size: int = setting(1, between=(1, 1_000_000), doc="Most entries handed over at once.")
    max_coalescing_delay: float = setting(
        1, between=(0, 3600), unit="s", doc="How long an entry waits for others to go along, in seconds."
    )
    max_entries: int = setting(
        10_000, between=(1, 1_000_000), doc="Entries that may wait; the oldest are dropped for new ones."
    )
    max_bytes: int | None = setting(None, doc="Bytes of all entries that may wait.")
    max_retry_time: float = setting(
        60, unit="s", doc="How long a batch that does not arrive is tried again, in seconds."
    )
    initial_retry_delay: float = setting(
        0.01, between=(0.001, 1_000_000), unit="s", doc="Seconds before the second attempt; they double."
    )
    max_retry_delay: float = setting(
        60, between=(0.001, 1_000_000), unit="s", doc="Longest wait between two attempts, in seconds."
    )
    concurrency_limit: Literal[-1, 1] = setting(
        1, doc="1: one batch after another; -1: every entry at once, by itself."
    )


class Undelivered(Exception):
    """The collector did not take a batch. Unless `again`, trying again will not help."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


class Queue(Protocol[T_contra]):
    """Entries of one worker on their way to a collector."""

    def add(self, entry: T_contra) -> None:
        """Takes an entry; what does not fit is dropped and counted."""
        ...

    def close(self) -> None:
        """No more will come; what waits is still handed over."""
        ...


class Queues(Protocol):
    """Opens queues."""

    def open(
        self,
        name: str,
        settings: QueueSettings,
        send: Send[T],
        *,
        size_of: Callable[[T], int],
        most_retries: int | None = None,
        ended: Callable[[], None] | None = None,
    ) -> Queue[T]:
        """A queue, `name`d in logs and metrics. `size_of` tells an entry's bytes, `ended` is called when
        the last entry of a closed queue has gone."""
        ...


class Link(Protocol):
    """A way to a collector that is not spoken to in HTTP."""

    async def send(self, data: bytes) -> None:
        """Hands bytes over. Raises `Undelivered` or `OSError`."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TlsTo:
    """TLS towards a collector: the name asked for (its host's if `None`), and whether that is checked."""

    server_name: str | None = None
    verify: bool = False


class Links(Protocol):
    """Makes links; they connect when first used, and again when they must."""

    def stream(
        self,
        host: str,
        port: int,
        *,
        timeout_seconds: float,
        keepalive_seconds: float,
        tls: TlsTo | None = None,
    ) -> Link:
        """A TCP connection that is kept for so long while nothing is sent."""
        ...

    def datagrams(self, host: str, port: int, *, timeout_seconds: float) -> Link:
        """UDP: each `send` is one datagram."""
        ...

    def local_syslog(self) -> Link:
        """The system's own syslog."""
        ...


def with_older_names(
    queue: QueueSettings, *, queue_size: int | None, flush_timeout: float | None
) -> QueueSettings:
    """The queue with what Kong's older fields say, where they say something else than they did by default."""
    if queue_size is not None and queue_size != 1:
        queue = replace(queue, max_batch_size=queue_size)
    if flush_timeout is not None and flush_timeout != 2:
        queue = replace(queue, max_coalescing_delay=flush_timeout)
    return queue
