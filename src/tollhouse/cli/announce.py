"""What a node says when it is ready: where it listens, and lines to try."""

import os

from tollhouse.cli.output import say
from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.supervisor.configuration import Source


def announce_node(settings: Settings, source: Source) -> None:
    """Tells where the node listens."""
    if source.file is not None:
        say(f"Tollhouse serves {source.file} (pid {os.getpid()})")
    else:
        say(f"Tollhouse is running (pid {os.getpid()})")
    for name, listens in (
        ("proxy", settings.proxy_listen),
        ("admin", settings.admin_listen),
        ("status", settings.status_listen),
    ):
        if listens:
            say(f"  {name:<7}{'  '.join(_url(listen) for listen in listens)}")


def _url(listen: Listen) -> str:
    if listen.path is not None:
        return str(listen)
    host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if listen.tls else 'http'}://{shown}:{listen.port}"
