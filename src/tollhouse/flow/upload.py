"""Passes a request body on to the target while it arrives, no faster than the target takes it."""

from tollhouse.flow.client import Client
from tollhouse.upstream.http1 import UpstreamConnection
from tollhouse.wire.body import LAST_CHUNK, chunk


class Upload:
    """Streams one request body."""

    __slots__ = ("_chunked", "_client", "_connection")

    def __init__(self, client: Client, connection: UpstreamConnection, *, chunked: bool) -> None:
        self._client = client
        self._connection = connection
        self._chunked = chunked

    def start(self) -> None:
        """Sends what is held already and takes what comes."""
        self._connection.source = self._client
        body = self._client.body
        if body is not None:
            body.stream_to(self)

    def body_content(self, data: bytes, done: bool) -> None:
        connection = self._connection
        connection.heard = True
        if not self._chunked:
            connection.write(data)
        elif data:
            connection.write(chunk(data))
        if done:
            connection.pass_trailers(self._client.request_trailers)
            if self._chunked:
                connection.write(LAST_CHUNK)
            connection.sent()

    def stop(self) -> None:
        """The target has answered or gone: the rest is not wanted."""
        if self._client.body is not None:
            self._client.body.detach()
