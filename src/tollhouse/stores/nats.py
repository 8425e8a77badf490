"""Events over NATS JetStream: kept by a stream that somebody has made for the subject.

One connection of a worker to a server, made when the first event is published; the library (extra `nats`)
is imported then, too. https://docs.nats.io/using-nats/developer/develop_jetstream
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from tollhouse.pdk.delivery import Undelivered
from tollhouse.pdk.tasks import Tasks

if TYPE_CHECKING:
    from nats.aio.client import Client

log = logging.getLogger("tollhouse.nats")
_SECONDS: Final = 5.0
_NO_LIBRARY: Final = "NATS needs nats-py: pip install 'tollhouse[nats]'"
_NO_STREAM: Final = "no JetStream stream of the server keeps subject {}"


class NatsPublisher:
    """`pdk.events.Publisher` of one URL."""

    def __init__(self, url: str, tasks: Tasks) -> None:
        self._url = url
        self._tasks = tasks
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        try:
            from nats.errors import Error, TimeoutError
            from nats.js.errors import NoStreamResponseError
        except ImportError:
            raise Undelivered(_NO_LIBRARY, again=False) from None
        try:
            client = await self._connected()
            stream = client.jetstream(timeout=_SECONDS)
            await stream.publish(subject, payload, headers={"Nats-Msg-Id": message_id})
        except NoStreamResponseError:
            raise Undelivered(_NO_STREAM.format(subject), again=False) from None
        except (Error, TimeoutError, OSError) as error:
            raise Undelivered(f"NATS at {self._url}: {error or type(error).__name__}") from error

    async def _connected(self) -> "Client":
        import nats

        async with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = await nats.connect(
                    self._url,
                    connect_timeout=int(_SECONDS),
                    allow_reconnect=False,  # whoever publishes tries again
                    error_cb=_tell,
                )
            return self._client

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            self._tasks.spawn(client.close(), "nats close")


async def _tell(error: Exception) -> None:
    log.info("NATS: %s", error or type(error).__name__)


class Nats:
    """`pdk.events.Events` of one worker."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def publisher(self, url: str) -> NatsPublisher:
        return NatsPublisher(url, self._tasks)
