"""A model, a service and a node for each module of tests of the plugins that let a model rewrite."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.certificates import Authority
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain
from tests.support.routes import routes
from tests.support.transformers import gemini, hugging_face, llm, said
from tests.support.upstream import Received, Upstream, read_request


@pytest.fixture(scope="module")
async def models() -> AsyncIterator[ModelServer]:
    server = ModelServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[Upstream]:
    async def answer(received: Received, writer: asyncio.StreamWriter) -> bool:
        body = b"the service's own words"
        writer.write(
            b"HTTP/1.1 201 Created\r\nContent-Type: text/x-own\r\nX-Own: yes\r\nETag: abc\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        return True

    server = await Upstream(answer).start()
    yield server
    await server.stop()


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """The URL of a model whose certificate nobody knows."""
    context = Authority(tmp_path_factory.mktemp("ca")).issue("model.test").server_context()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (received := await read_request(reader)) is not None:
            await plain(said("over TLS"))(received, writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture(scope="module")
async def node(models: ModelServer, service: Upstream, secured: str) -> AsyncIterator[Gateway]:
    request, response = "ai-request-transformer", "ai-response-transformer"
    base = {"prompt": "rewrite it", "llm": llm(models.url)}
    pattern = {"transformation_extract_pattern": r"\{.*\}"}
    own_key = llm(models.url, auth={"allow_override": True})
    told = {"parse_llm_response_json_instructions": True}
    secure = {"llm": llm(secured)}
    plugins: dict[str, tuple[str, dict[str, Any]]] = {
        "ask": (request, base),
        "part": (request, base | pattern),
        "small": (request, base | {"max_request_body_size": 10}),
        "hasty": (request, base | {"http_timeout": 50}),
        "override": (request, base | {"llm": own_key}),
        "trusting": (request, base | secure | {"https_verify": False}),
        "careful": (request, base | secure),
        "answer-careful": (response, base | secure),
        "hugging": (request, base | {"llm": hugging_face(models.url)}),
        "line": (request, base | {"transformation_extract_pattern": "^body: .*$"}),
        "gemini": (request, base | {"llm": gemini(models.url)}),
        "answer": (response, base),
        "answer-part": (response, base | pattern),
        "answer-small": (response, base | {"max_request_body_size": 10}),
        "answer-hasty": (response, base | {"http_timeout": 50}),
        "answer-trusting": (response, base | secure | {"https_verify": False}),
        "told": (response, base | told),
    }
    gateway = await Gateway.start('_format_version: "3.0"\n')
    log = {"name": "file-log", "config": {"path": str(gateway.folder / "log.json")}}
    metrics = {"name": "prometheus", "config": {"ai_metrics": True}}
    loaded = await gateway.configure(routes(service.url, plugins, plugins=[log, metrics]))
    assert loaded.status == 201, loaded.body
    yield gateway
    await gateway.stop()
