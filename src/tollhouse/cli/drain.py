"""tollhouse drain: lets balancers leave a node that serves on."""

import http.client
import ssl

import click

from tollhouse.cli.output import fail, fail_config, say
from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors

_SECONDS = 5


def _connection(host: str, port: int, *, tls: bool) -> http.client.HTTPConnection:
    if not tls:
        return http.client.HTTPConnection(host, port, timeout=_SECONDS)
    # It is this node that is spoken to, whose certificate need not be anybody's but its own.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context)


@click.command("drain")
def command() -> None:
    """Let `/status/ready` of this machine's status API say that no new clients are wanted."""
    try:
        listens = from_environment().status_listen
    except ConfigErrors as errors:
        fail_config(errors)
    plain = sorted((listen for listen in listens if listen.path is None), key=lambda listen: listen.tls)
    if not plain:
        fail("there is no status API to tell: set KONG_STATUS_LISTEN")
    host = plain[0].host if plain[0].host not in ("0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared
    connection = _connection(host, plain[0].port, tls=plain[0].tls)
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
