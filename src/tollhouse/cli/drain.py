"""tollhouse drain: lets balancers leave a node that serves on."""

import http.client

import click

from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors

_SECONDS = 5


@click.command("drain")
def command() -> None:
    """Let `/status/ready` of this machine's status API say that no new clients are wanted."""
    try:
        listens = from_environment().status_listen
    except ConfigErrors as errors:
        fail_config(errors)
    plain = [listen for listen in listens if listen.path is None and not listen.tls]
    if not plain:
        fail("there is no status API to tell: set KONG_STATUS_LISTEN")
    host = plain[0].host if plain[0].host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared
    connection = http.client.HTTPConnection(host, plain[0].port, timeout=_SECONDS)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/status/ready", '{"status": "draining"}', headers)
        status = connection.getresponse().status
    except OSError as error:
        fail(f"the status API at {plain[0]} does not answer: {error}")
    finally:
        connection.close()
    if status != 204:
        fail(f"the status API at {plain[0]} answered {status}")
    say("Tollhouse's status successfully changed to 'draining'")
