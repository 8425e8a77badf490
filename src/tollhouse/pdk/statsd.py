"""StatsD's lines (https://github.com/statsd/statsd/blob/master/docs/metric_types.md) and the forms of tags
that servers have added to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import random
from typing import Final

from tollhouse.pdk.delivery import Link, Undelivered
from tollhouse.pdk.records import Logged
from tollhouse.pdk.session import StreamSession

#: what a line may have for a type
KINDS: Final = {
    "counter": "c",
    "gauge": "g",
    "histogram": "h",
    "meter": "m",
    "set": "s",
    "timer": "ms",
    "distribution": "d",
}
#: names of values that are read off an exchange, in Kong's words and as they are sent
STATS: Final = {
    "kong_latency": "kong_latency",
    "latency": "latency",
    "request_count": "request.count",
    "request_size": "request.size",
    "response_size": "response.size",
    "upstream_latency": "upstream_latency",
}


def values_of(ex: Logged) -> dict[str, int]:
    """The values of an exchange, by Kong's names; without a latency of an upstream that was not asked."""
    total = int((ex.ended_at - ex.started) * 1000)
    if isinstance(ex, StreamSession):
        return {
            "request_count": 1,
            "request_size": ex.received,
            "response_size": ex.sent,
            "latency": total,
            "kong_latency": ex.kong_ms,
        }
    values = {
        "request_count": 1,
        "request_size": ex.bytes_in,
        "response_size": ex.bytes_out,
        "latency": total,
        "kong_latency": total,
    }
    if ex.sent_at and ex.answered_at:
        waited = int((ex.answered_at - ex.sent_at) * 1000)
        received = int((ex.ended_at - ex.answered_at) * 1000)
        values["upstream_latency"] = waited
        values["kong_latency"] = max(0, total - waited - received)
    return values


def is_sampled(rate: float | None) -> bool:
    """Whether a value with this rate is to be sent: the server multiplies what it gets."""
    return rate is None or rate >= 1 or random() < rate  # noqa: S311 - a choice of samples


def line(
    name: str,
    value: int | str,
    kind: str,
    rate: float | None = None,
    tags: Sequence[tuple[str, str]] = (),
    style: str | None = None,
) -> bytes:
    """One metric. `style` is how tags are written."""
    sampled = f"|@{rate:g}" if rate is not None and rate != 1 else ""
    if style is None or not tags:
        return f"{name}:{value}|{kind}{sampled}".encode()
    if style == "dogstatsd":
        shown = ",".join(f"{tag}:{of}" if of else tag for tag, of in tags)
        return f"{name}:{value}|{kind}{sampled}|#{shown}".encode()
    shown = ",".join(f"{tag}={of}" for tag, of in tags)
    place = {"influxdb": f",{shown}", "librato": f"#{shown}", "signalfx": f"[{shown}]"}[style]
    return f"{name}{place}:{value}|{kind}{sampled}".encode()


def size_of(lines: Sequence[bytes]) -> int:
    """Bytes of the lines of an exchange."""
    return sum(map(len, lines))


@dataclass(frozen=True, slots=True)
class Server:
    """Sends lines: over TCP together, over UDP by themselves or in packets of so many bytes."""

    link: Link
    is_stream: bool = False
    packet_bytes: int = 0

    async def send(self, batch: Sequence[Sequence[bytes]]) -> None:
        """The lines of several exchanges. Raises `Undelivered` or `OSError`."""
        lines = [one for lines in batch for one in lines]
        if self.is_stream:
            await self.link.send(b"".join(one + b"\n" for one in lines))
            return
        for number, packet in enumerate(_packets(lines, self.packet_bytes)):
            try:
                await self.link.send(packet)
            except (Undelivered, OSError) as error:
                if number == 0:
                    raise
                # Sending the batch again would count what went before twice.
                raise Undelivered(str(error), again=False) from None


def _packets(lines: Sequence[bytes], limit: int) -> Iterator[bytes]:
    """Lines put together, as far as they fit; a line that is larger goes by itself."""
    packet: list[bytes] = []
    size = 0
    for one in lines:
        if packet and size + 1 + len(one) > limit:
            yield b"\n".join(packet)
            packet, size = [], 0
        size += len(one) + bool(packet)
        packet.append(one)
    if packet:
        yield b"\n".join(packet)
