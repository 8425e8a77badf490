"""tollhouse replay-server: answers like a model provider, from recordings, with the faults it is told."""

import asyncio
from pathlib import Path
from typing import cast

import click

from tollhouse.cli.output import fail, say
from tollhouse.replay.choice import Repertoire
from tollhouse.replay.recordings import NoRecording, read_all
from tollhouse.replay.script import FAULTS, Fault, Manner
from tollhouse.replay.server import Asked, ReplayServer


@click.command("replay-server")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8787, show_default=True, type=click.IntRange(0, 65535), help="0: any.")
@click.option("--split", type=click.IntRange(1), metavar="BYTES", help="Cut answers into such pieces.")
@click.option("--delay-ms", default=0, type=click.IntRange(0), help="Wait before each piece.")
@click.option("--fault", type=click.Choice(FAULTS), help="What goes wrong with every answer.")
def command(
    files: tuple[Path, ...], host: str, port: int, split: int | None, delay_ms: int, fault: str | None
) -> None:
    """Serve recorded answers of model providers, byte for byte.

    FILES are recordings, or folders of them. A request gets the one that fits it best; the header `x-replay`
    names one, `x-replay-fault` a fault: cut, stall, garble, slow, 429 or wrong-usage. Point an SDK or the
    gateway at the address that is printed and see what your client makes of it.
    """
    try:
        recordings = read_all(files)
    except NoRecording as error:
        fail(str(error))
    if not recordings:
        fail("there are no recordings (.json) in these folders")
    manner = Manner(split, delay_ms / 1000, None if fault is None else cast(Fault, fault))
    server = ReplayServer(Repertoire(recordings), manner, _tell)
    try:
        asyncio.run(_run(server, host, port, len(recordings)))
    except OSError as error:
        fail(f"cannot listen on {host}:{port}: {error.strerror}")
    except KeyboardInterrupt:
        say("stopped")


def _tell(asked: Asked, name: str) -> None:
    say(f"{asked.method} {asked.target} -> {name or 'nothing that fits'}")


async def _run(server: ReplayServer, host: str, port: int, count: int) -> None:
    await server.start(host, port)
    say(f"{count} recording{'s' if count != 1 else ''} at {server.url}")
    await server.forever()
