"""tollhouse health: tells whether a node is running and ready."""

import http.client

import click
import msgspec

from tollhouse.cli.nodes import the_node
from tollhouse.cli.options import running_prefix
from tollhouse.cli.output import fail, say
from tollhouse.config.settings import from_environment


@click.command("health")
@click.option("--pid", type=int, help="Which node, if several are running.")
@running_prefix
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
        answer = connection.getresponse()
        ready, why = answer.status == 200, msgspec.json.decode(answer.read(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        fail(f"the Admin API does not answer: {error}")
    finally:
        connection.close()
    if not ready:
        message = why.get("message", "the node is not ready")
        if not message.startswith("no configuration available"):  # it waits for one, as it should
            fail(message)
        say(message)
    say(f"\nTollhouse is healthy at {from_environment().prefix}")
