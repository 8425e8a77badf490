"""tollhouse quit: Kong's word for a graceful end, with its options."""

import os
import signal
import time

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.options import running_prefix
from tollhouse.cli.output import say
from tollhouse.supervisor.instances import is_alive


@click.command("quit")
@click.option("--pid", type=int, help="Which node, if several are running.")
@running_prefix
@click.option("-t", "--timeout", default=10.0, show_default=True, help="Seconds until it is ended by force.")
@click.option("-w", "--wait", default=0.0, show_default=True, help="Seconds to wait before it begins.")
def command(pid: int | None, timeout: float, wait: float) -> None:
    """Let a running node finish its work and end; what takes longer than the timeout is cut off."""
    node = the_node(pid)
    time.sleep(wait)
    os.kill(node.pid, signal.SIGTERM)
    until = time.monotonic() + timeout
    while is_alive(node.pid):
        if time.monotonic() > until:
            os.kill(node.pid, signal.SIGKILL)
            say("Timeout, Tollhouse stopped forcefully")
            return
        time.sleep(0.05)
    say("Tollhouse stopped (gracefully)")
