"""Events for other systems, over a broker that keeps them (NATS JetStream)."""

from typing import Protocol


class Publisher(Protocol):
    """A broker as one plugin uses it."""

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        """Hands an event over and waits until the broker has it; one that it has by that id is not kept
        twice. Raises `Undelivered`."""
        ...

    def close(self) -> None: ...


class Events(Protocol):
    def publisher(self, url: str) -> Publisher:
        """A way to the broker at that URL. Connects when something is published."""
        ...
