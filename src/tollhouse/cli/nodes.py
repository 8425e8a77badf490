"""Finding the running node that a command is about."""

from tollhouse.cli.output import fail
from tollhouse.config.settings import from_environment
from tollhouse.supervisor.instances import Instance, running


def the_node(pid: int | None) -> Instance:
    """The running node, or the one of that pid; ends the command if there is none or a choice."""
    prefix = from_environment().prefix
    nodes = running(prefix)
    if pid is not None:
        nodes = [node for node in nodes if node.pid == pid]
    if not nodes:
        fail(f"Tollhouse is not running at {prefix}" if pid is None else f"no node has pid {pid}")
    if len(nodes) > 1:
        listed = "\n".join(
            f"  --pid {node.pid}  {', '.join(node.proxy)}  {node.configuration}" for node in nodes
        )
        fail(f"several nodes are running; choose one:\n{listed}")
    return nodes[0]
