"""What a node says when it is ready: where it listens, and lines to try."""

import os
from typing import Final

from tollhouse.cli.output import say
from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.supervisor.configuration import Source
from tollhouse.supervisor.environment import providers, usual_model

_TRY: Final = """
  curl {base}/chat/completions -H 'Content-Type: application/json' \\
    -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

  from openai import OpenAI
  client = OpenAI(base_url="{base}", api_key="unused")
  messages = [{{"role": "user", "content": "Hello!"}}]
  print(client.chat.completions.create(model="{model}", messages=messages).choices[0].message.content)
"""


def announce_node(settings: Settings, source: Source) -> None:
    """Tells where the node listens."""
    if source.file is not None:
        say(f"Tollhouse serves {source.file} (pid {os.getpid()})")
    elif source.database is not None:
        say(f"Tollhouse serves {source.database} (pid {os.getpid()})")
    elif source.generate is not None:
        names = ", ".join(providers(os.environ)) or "the embedded model"
        say(f"Tollhouse is a gateway to {names} (pid {os.getpid()})")
    else:
        say(f"Tollhouse is running (pid {os.getpid()})")
    for name, listens in (
        ("proxy", settings.proxy_listen),
        ("stream", settings.stream_listen),
        ("admin", settings.admin_listen),
        ("status", settings.status_listen),
    ):
        if listens:
            say(f"  {name:<7}{'  '.join(_url(listen) for listen in listens)}")
    if source.generate is not None and settings.proxy_listen:
        say(_TRY.format(base=f"{_url(settings.proxy_listen[0])}/v1", model=usual_model(os.environ)))


def _url(listen: Listen) -> str:
    if listen.path is not None:
        return str(listen)
    host = "127.0.0.1" if listen.host in ("0.0.0.0", "::") else listen.host  # noqa: S104
    shown = f"[{host}]" if ":" in host else host
    plain, secured = ("tcp", "tls") if listen.stream else ("http", "https")
    plain = "udp" if listen.udp else plain
    return f"{secured if listen.tls else plain}://{shown}:{listen.port}"
