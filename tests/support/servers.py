"""A server that gives one answer to every request: for official SDKs, which need a real one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def answering(body: bytes, content_type: str, status: int = 200) -> AsyncIterator[str]:
    """Its address. The answer ends with the connection, as that of a streaming provider may."""
    head = f"HTTP/1.1 {status} Answer\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (
                line.split(b":")[1]
                for line in asked.splitlines()
                if line.lower().startswith(b"content-length")
            ),
            b"0",
        )
        await reader.readexactly(int(length))
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
