"""Consumers and credentials of the snapshot being served, found by what a client presents."""

from collections.abc import Generator
from typing import Final

from tollhouse.model.entities import Consumer
from tollhouse.model.snapshot import Snapshot
from tollhouse.pdk.caller import Caller

_SLICE: Final = 500


class Directory:
    """Answers who is calling. One per worker; its content is exchanged with the snapshot."""

    def __init__(self) -> None:
        self._consumers: dict[str, Consumer] = {}
        self._usernames: dict[str, Consumer] = {}
        self._credentials: dict[str, dict[str, Caller]] = {}

    def consumer(self, id_or_username: str) -> Consumer | None:
        """The consumer of that id, else of that username."""
        return self._consumers.get(id_or_username) or self._usernames.get(id_or_username)

    def caller(self, kind: str, presented: str) -> Caller | None:
        """Who presents this credential of a kind."""
        known = self._credentials.get(kind)
        return known.get(presented) if known is not None else None

    def take_over(self, successor: "Directory") -> None:
        """Serves from now on what the other one holds."""
        self._consumers = successor._consumers
        self._usernames = successor._usernames
        self._credentials = successor._credentials


def building_directory(snapshot: Snapshot) -> Generator[None, None, Directory]:
    """Yields between slices; returns the directory of a snapshot."""
    directory = Directory()
    for number, consumer in enumerate(snapshot.consumers):
        directory._consumers[consumer.id] = consumer
        if consumer.username is not None:
            directory._usernames[consumer.username] = consumer
        if number % _SLICE == 0:
            yield
    keys = directory._credentials["keyauth_credentials"] = {}
    for number, credential in enumerate(snapshot.keyauth_credentials):
        owner = directory._consumers.get(credential.consumer.id) if credential.consumer else None
        if owner is not None and credential.key is not None:
            keys[_on_the_wire(credential.key)] = Caller(owner, credential)
        if number % _SLICE == 0:
            yield
    return directory


def _on_the_wire(key: str) -> str:
    """As the key looks when it comes in a header: its UTF-8 bytes, one character each."""
    return key if key.isascii() else key.encode().decode("latin-1")
