"""tollhouse stop: lets a running node finish its work and end."""

import os
import signal
import time

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.options import running_prefix
from tollhouse.cli.output import fail, say
from tollhouse.supervisor.instances import is_alive


@click.command("stop")
@click.option("--pid", type=int, help="Which node, if several are running.")
@running_prefix
@click.option("-t", "--timeout", default=40.0, show_default=True, help="Seconds to wait for its end.")
def command(pid: int | None, timeout: float) -> None:
    """Let a running node finish its work and end."""
    node = the_node(pid)
    os.kill(node.pid, signal.SIGTERM)
    until = time.monotonic() + timeout
    while is_alive(node.pid):
        if time.monotonic() > until:
            fail(f"node {node.pid} still runs after {timeout:g} s")
        time.sleep(0.05)
    say("Tollhouse stopped")
