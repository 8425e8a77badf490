"""The Admin API does what its own OpenAPI document says, whatever it is asked."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.gateway import Gateway

CONFIG = """_format_version: "3.0"
services: [{name: s, host: a.test, routes: [{name: r, paths: [/a], tags: [x]}], plugins: [{name: cors}]}]
consumers: [{username: alice, keyauth_credentials: [{key: k}], acls: [{group: g}]}]
upstreams: [{name: u, targets: [{target: "10.0.0.1:80"}]}]
"""


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Gateway]:
    gateway = await Gateway.start(CONFIG)
    yield gateway
    await gateway.stop()


async def test_the_document_has_every_kind_of_entity(node: Gateway) -> None:
    document = (await node.admin_request("GET", "/openapi.json")).json()

    assert isinstance(document, dict)
    assert document["openapi"] == "3.1.0"
    assert "/services/{services}/routes/{routes}" in document["paths"]
    assert document["components"]["schemas"]["services"]["properties"]["retries"]["maximum"] == 32767


async def test_schemathesis_finds_nothing(node: Gateway) -> None:
    host, port = node.admin
    url = f"http://{host}:{port}"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--url", url),
        *("--checks", checks, "--max-examples", "2", "--phases", "fuzzing", "--seed", "1"),
        *("--include-path-regex", "^/(services|consumers|schemas|tags)"),
        *("--generation-deterministic", "--no-color"),
    ]

    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=STDOUT)
    told, _ = await process.communicate()

    assert process.returncode == 0, told.decode()[-6000:]
