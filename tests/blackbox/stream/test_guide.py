"""The file of the guide about connections without HTTP does what the guide says."""

import re
from pathlib import Path

import pytest
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.tcp import TcpServer, talking

ROOT = Path(__file__).parents[3]


def shown() -> str:
    guide = (ROOT / "docs" / "guides" / "streams.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_example_is_that_of_the_guide() -> None:
    example = (ROOT / "examples" / "streams" / "kong.yml").read_text(encoding="utf-8")

    assert example.endswith(shown())


@pytest.mark.parametrize(
    ("listen", "unserved"), [("off", "postgres, queue, vault"), ("127.0.0.1:0", "queue, vault")]
)
async def test_routes_that_no_listener_serves_are_told(listen: str, unserved: str) -> None:
    node = await Gateway.start(shown(), environment={"KONG_STREAM_LISTEN": listen})
    await node.until_logged(f"no listener of KONG_STREAM_LISTEN takes connections of: {unserved}")
    await node.stop()


async def test_each_of_its_routes_serves(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    vault = authority.issue("a.vault.example.com").server_context()
    servers = {
        "postgres": await TcpServer("postgres").start(),
        "queue": await TcpServer("queue").start(authority.issue("localhost").server_context()),
        "vault": await TcpServer("vault").start(vault),
    }
    text = shown().replace("{ip: 10.0.0.0/8}", "{ip: 127.0.0.0/8}")
    for name, server in servers.items():
        text = re.sub(rf"{name}\.internal:\d+", f"localhost:{server.port}", text)
    node = await Gateway.start(
        text,
        environment={
            "KONG_STREAM_LISTEN": "127.0.0.1:0, 127.0.0.1:0 ssl",
            "KONG_SSL_CERT": str((own := authority.issue("queue.example.com")).certificate),
            "KONG_SSL_CERT_KEY": str(own.key),
            "KONG_LUA_SSL_TRUSTED_CERTIFICATE": str(authority.file),
        },
    )
    greetings = []
    try:
        port = node.addresses["stream0"][1]
        loaded = await node.configure(text.replace("{port: 5432}", f"{{port: {port}}}"))
        assert loaded.status == 201
        async with talking(node.addresses["stream0"]) as client:
            greetings.append(await client.line())
        for name in ("queue.example.com", "a.vault.example.com"):
            tls = authority.client_context()
            async with talking(node.addresses["stream1"], tls=tls, name=name) as client:
                greetings.append(await client.line())
    finally:
        await node.stop()
        for server in servers.values():
            server.stop()

    assert greetings == [b"postgres\n", b"queue\n", b"vault\n"]
