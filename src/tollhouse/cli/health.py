"""tollhouse health: tells whether a node is running and ready."""

import http.client

import click

from tollhouse.cli.nodes import the_node
from tollhouse.cli.output import fail, say


@click.command("health")
@click.option("--pid", type=int, help="Which node, if several are running.")
def command(pid: int | None) -> None:
    """Tell whether a node is running and ready; exit code 1 if not."""
    node = the_node(pid)
    say(f"supervisor....running (pid {node.pid})")
    say(f"proxy.........{', '.join(node.proxy) or 'off'}")
    say(f"admin.........{', '.join(node.admin) or 'off'}")
    if not node.admin or node.admin[0].startswith("unix:"):
        return
    host, _, port = node.admin[0].rpartition(":")
    host = host.strip("[]")
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, int(port), timeout=3)  # noqa: S104
    try:
        connection.request("GET", "/status/ready")
        ready = connection.getresponse().status == 200
    except OSError as error:
        fail(f"the Admin API does not answer: {error}")
    finally:
        connection.close()
    if not ready:
        fail("not every worker serves the current configuration")
    say("\nTollhouse is healthy")
