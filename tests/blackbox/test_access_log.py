"""Access logs: nginx's combined format as Kong extends it, from every listener, whole under load."""

import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.gateway import Gateway, request
from tests.support.lines import lines_of
from tests.support.load import Load
from tests.support.upstream import Upstream

LINE = re.compile(
    r'(?P<ip>\S+) - (?P<user>\S+) \[(?P<time>[^]]+)\] "(?P<request>[^"]*)" (?P<status>\d{3}) (?P<size>\d+) '
    r'"(?P<referer>[^"]*)" "(?P<agent>[^"]*)"(?: kong_request_id: "(?P<id>[0-9a-f]{32})")?'
)
CONFIG = """_format_version: "3.0"
services:
- url: {url}
  routes:
  - {{name: all, paths: [/], strip_path: false}}
  - {{name: not, paths: [/no],
      plugins: [{{name: request-termination, config: {{status_code: 403, message: Stop}}}}]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
async def node(upstream: Upstream, folder: Path) -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(
        CONFIG.format(url=upstream.url),
        workers=2,
        environment={
            "KONG_PROXY_ACCESS_LOG": f"{folder}/made/proxy.log",
            "KONG_ADMIN_ACCESS_LOG": "logs/admin.log",
            "KONG_STATUS_ACCESS_LOG": f"{folder}/status.log",
            "KONG_STATUS_LISTEN": "127.0.0.1:0",
            "KONG_TRUSTED_IPS": "127.0.0.1",
        },
    )
    yield gateway
    await gateway.stop()


async def entry(path: Path, had: int) -> dict[str, str]:
    """The line that follows the ones that were there before."""
    lines = await lines_of(path, had + 1)
    assert len(lines) == had + 1
    found = LINE.fullmatch(lines[-1])
    assert found, lines[-1]
    return found.groupdict()


def lines_in(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


async def test_a_request_has_a_line(node: Gateway, folder: Path) -> None:
    path = folder / "made" / "proxy.log"
    had = lines_in(path)

    reply = await node.request(
        "GET", "/a%20b?x=1", {"User-Agent": "curl/8", "Referer": "http://r.test/", "X-Real-IP": "10.1.2.3"}
    )

    told = await entry(path, had)
    assert told["ip"] == "10.1.2.3"
    assert told["user"] == "-"
    assert told["request"] == "GET /a%20b?x=1 HTTP/1.1"
    assert told["status"] == "200"
    assert int(told["size"]) == len(reply.body) > 0
    assert told["referer"] == "http://r.test/"
    assert told["agent"] == "curl/8"
    assert told["id"] == reply.headers["x-kong-request-id"]
    at = datetime.strptime(told["time"], "%d/%b/%Y:%H:%M:%S %z")
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("raw", "shown", "status"),
    [
        (b"GET /no HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /no HTTP/1.1", "403"),
        (b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HEAD / HTTP/1.1", "200"),
        (b"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0", "200"),
        (b"no request at all\r\n\r\n", "-", "400"),
    ],
)
async def test_every_answer_has_a_line_with_the_size_of_its_body(
    node: Gateway, folder: Path, raw: bytes, shown: str, status: str
) -> None:
    path = folder / "made" / "proxy.log"
    had = lines_in(path)

    answer = await node.send(raw)

    told = await entry(path, had)
    assert (told["request"], told["status"]) == (shown, status)
    assert int(told["size"]) == len(answer.partition(b"\r\n\r\n")[2])


async def test_no_client_can_forge_a_line(node: Gateway, folder: Path) -> None:
    path = folder / "made" / "proxy.log"
    had = lines_in(path)
    forged = b'x" 200 0 "-" "-"\t\\ \xe9'

    await node.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nUser-Agent: " + forged + b"\r\n\r\n")

    told = await entry(path, had)
    assert told["agent"] == r"x\x22 200 0 \x22-\x22 \x22-\x22\x09\x5C \xE9"


@pytest.mark.parametrize(
    ("authorization", "user"),
    [
        ("Basic Ym9iOnNlY3JldA==", "bob"),
        ("basic Ym9iOnNlY3JldA==", "bob"),
        ("Basic Ym8iYjp4", r"bo\x22b"),
        ("Basic !!!", "-"),
        ("Basic Ym9i", "-"),
        ("Bearer Ym9iOnNlY3JldA==", "-"),
    ],
)
async def test_the_user_of_basic_credentials_is_named_and_no_secret(
    node: Gateway, folder: Path, authorization: str, user: str
) -> None:
    path = folder / "made" / "proxy.log"
    had = lines_in(path)

    await node.request("GET", "/", {"Authorization": authorization})

    assert (await entry(path, had))["user"] == user
    assert "secret" not in path.read_text()


async def test_the_admin_and_status_apis_have_their_own(node: Gateway, folder: Path) -> None:
    for address, path in (
        (node.admin, node.folder / "logs" / "admin.log"),
        (node.addresses["status"], folder / "status.log"),
    ):
        had = lines_in(path)

        reply = await request(address, "GET", "/status", {"User-Agent": "probe"})

        told = await entry(path, had)
        assert told["request"] == "GET /status HTTP/1.1"
        assert (told["status"], int(told["size"])) == ("200", len(reply.body))
        assert told["agent"] == "probe"
        assert told["id"] is None


async def test_under_load_and_rotation_every_answer_has_one_line(node: Gateway, folder: Path) -> None:
    path = folder / "made" / "proxy.log"
    path.rename(folder / "before.log")
    load = Load(node.proxy, "/load").start(16)
    await lines_of(path, 100)
    path.rename(folder / "rotated.log")
    await load.until(200)
    await load.stop()

    await lines_of(path, 1)
    rotated = len(await lines_of(folder / "rotated.log", 1))
    lines = await lines_of(path, load.answers - rotated)
    lines += (folder / "rotated.log").read_text().splitlines()
    ids = [found["id"] for line in lines if (found := LINE.fullmatch(line)) is not None]
    assert len(lines) == len(ids) == len(set(ids)) == load.answers


async def test_without_a_setting_there_is_no_log(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url))
    await node.request("GET", "/")
    files = {path.name for path in node.folder.rglob("*") if path.is_file()}

    await node.stop()

    assert not [name for name in files if name.endswith(".log")]


async def test_standard_output_is_a_log_as_well(upstream: Upstream) -> None:
    node = await Gateway.start(
        CONFIG.format(url=upstream.url), workers=2, environment={"KONG_PROXY_ACCESS_LOG": "/dev/stdout"}
    )
    load = Load(node.proxy, "/load").start(8)
    await load.until(300)
    await load.stop()

    assert await node.stop() == 0

    lines = [line.rstrip("\n") for line in node.output if "kong_request_id" in line]
    assert len(lines) == load.answers
    assert all(LINE.fullmatch(line) for line in lines)


async def test_error_logs_are_files_of_their_own(upstream: Upstream) -> None:
    node = await Gateway.start(
        CONFIG.format(url=upstream.url),
        workers=2,
        environment={
            "KONG_PROXY_ERROR_LOG": "logs/error.log",
            "KONG_ADMIN_ERROR_LOG": "logs/admin_error.log",
        },
    )
    try:
        proxy, admin = (node.folder / "logs" / name for name in ("error.log", "admin_error.log"))
        assert (await node.configure("services: [")).status == 400
        node.process.send_signal(signal.SIGHUP)

        lines = await lines_of(admin, 1)
        assert re.fullmatch(
            r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[info\] \d+#0: tollhouse\.control: configuration reloaded",
            lines[-1],
        )
        assert sum("serving configuration" in line for line in await lines_of(proxy, 2)) >= 2
        assert node.errors == []
    finally:
        await node.stop()


async def test_a_quiet_node_says_nothing_of_what_went_well(upstream: Upstream) -> None:
    node = await Gateway.start(CONFIG.format(url=upstream.url), environment={"KONG_LOG_LEVEL": "warn"})

    assert (await node.configure(CONFIG.format(url=upstream.url))).status == 201
    assert await node.stop() == 0

    assert node.errors == []
