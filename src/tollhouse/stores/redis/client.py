"""What a plugin's configuration block is to it: one server, whatever stands behind the name."""

import asyncio
from collections.abc import Sequence
from typing import Any

import hiredis

from tollhouse.pdk.redis import RedisError, Reply
from tollhouse.stores.redis.connection import Batch, Done, Lost, Word, packed
from tollhouse.stores.redis.place import Place
from tollhouse.stores.redis.server import Channel, Server, is_elsewhere
from tollhouse.stores.watch import Watch


class Client:
    """`pdk.redis.RedisClient` of one configuration block."""

    def __init__(self, place: Place, watch: Watch, channel: Channel) -> None:
        self.place = place
        self._watch = watch
        self._channel = channel
        #: how many plugin objects use it
        self.users = 0

    def ask(self, key: str, commands: Sequence[bytes], done: Done) -> bool:
        """Sends packed commands about keys of one slot. Whether they are under way: if not, `done` is not
        called."""

        def judged(replies: list[Reply] | Lost) -> None:
            if not isinstance(replies, Lost) and any(map(_is_error, replies)):
                self._watch.answered_with_error()
                if isinstance(self._channel, Server) and any(map(is_elsewhere, replies)):
                    self._channel.look_again()
            done(replies)

        return self._channel.send(Batch(key, commands, judged))

    async def pipeline(self, key: str, commands: Sequence[Sequence[Word]]) -> list[Reply]:
        """The replies to commands about keys of one slot. Raises `RedisError`."""
        future: asyncio.Future[list[Reply] | Lost] = asyncio.get_running_loop().create_future()

        def done(replies: list[Reply] | Lost) -> None:
            if not future.done():
                future.set_result(replies)

        if not self.ask(key, [packed(words) for words in commands], done):
            raise RedisError("the server cannot be reached")
        replies = await future
        if isinstance(replies, Lost):
            raise RedisError(str(replies))
        for reply in replies:
            if _is_error(reply):
                raise RedisError(str(reply))
        return replies

    async def call(self, *words: Word) -> Reply:
        """The reply to one command, whose first argument is its key. Raises `RedisError`."""
        return (await self.pipeline(str(words[1]) if len(words) > 1 else "", [words]))[0]

    async def servers(self) -> "list[Client]":
        """A client for each server that has keys of its own. Raises `RedisError`."""
        await self.call("EXISTS", "tollhouse")  # a cluster's nodes are known once one has answered
        return [Client(self.place, self._watch, channel) for channel in self._channel.everywhere()]

    def close(self) -> None:
        self._channel.close()


def _is_error(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError)
