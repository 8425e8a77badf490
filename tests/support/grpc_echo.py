"""A gRPC server that sends back what it gets; messages are bytes, so no schema is needed."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import grpc.aio

SERVICE: Final = "test.Echo"


async def _unary(request: bytes, context: Any) -> bytes:
    fields = dict(context.invocation_metadata())
    if request == b"fail":
        context.set_trailing_metadata((("x-reason", "asked for"),))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "as asked: 100 % ✓")
    await context.send_initial_metadata((("x-via", fields.get("via", "")),))
    context.set_trailing_metadata((("x-after", "all"),))
    return request


async def _down(request: bytes, context: Any) -> AsyncIterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


async def _up(requests: AsyncIterator[bytes], context: Any) -> bytes:
    return b",".join([piece async for piece in requests])


async def _both(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for piece in requests:
        yield piece.upper()


class GrpcEcho:
    """Runs until stopped; in TLS if it is given a key and a certificate, PEM."""

    def __init__(self, pair: tuple[bytes, bytes] | None = None) -> None:
        self._server = grpc.aio.server()
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Unary": grpc.unary_unary_rpc_method_handler(_unary),
            "Down": grpc.unary_stream_rpc_method_handler(_down),
            "Up": grpc.stream_unary_rpc_method_handler(_up),
            "Both": grpc.stream_stream_rpc_method_handler(_both),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        if pair is None:
            self.port = self._server.add_insecure_port("127.0.0.1:0")
        else:
            self.port = self._server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))

    async def start(self) -> "GrpcEcho":
        await self._server.start()
        return self

    async def stop(self) -> None:
        await self._server.stop(grace=0)


def unary(
    channel: grpc.aio.Channel, path: str = f"/{SERVICE}/Unary"
) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """The call of one message each way."""
    return channel.unary_unary(path)


def down(channel: grpc.aio.Channel) -> "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]":
    """The call that is answered by a stream."""
    return channel.unary_stream(f"/{SERVICE}/Down")


def up(channel: grpc.aio.Channel) -> "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]":
    """The call that takes a stream."""
    return channel.stream_unary(f"/{SERVICE}/Up")


def both(channel: grpc.aio.Channel) -> "grpc.aio.StreamStreamMultiCallable[bytes, bytes]":
    """The call of two streams."""
    return channel.stream_stream(f"/{SERVICE}/Both")
