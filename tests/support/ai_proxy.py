"""A node with ai-proxy on many routes, in front of a model server that answers as it is told."""

import asyncio
from typing import Any

import msgspec
from tests.support.gateway import Gateway, Reply
from tests.support.models import record_of
from tests.support.recordings import recording

SECRET = "sk-gateway-9d41"
ROUTE = """
- name: {name}
  url: http://127.0.0.1:1
  retries: 0
  routes: [{{name: {name}, paths: [/{name}]}}]
  plugins:
  - name: ai-proxy
    config:
      route_type: {route_type}
      {auth}
      logging: {{log_statistics: true, log_payloads: {payloads}}}
      model: {{provider: {provider}, {model} options: {{upstream_url: "{url}"{options}}}}}
      {more}
"""
HEADER_KEY = f"auth: {{header_name: Authorization, header_value: Bearer {SECRET}}}"
MINI = "name: gpt-4o-mini,"


def route(name: str, url: str, **settings: str) -> str:
    defaults = {
        "route_type": "llm/v1/chat",
        "auth": HEADER_KEY,
        "payloads": "false",
        "provider": "openai",
        "model": MINI,
        "options": "",
        "more": "",
    }
    return ROUTE.format(name=name, url=url, **{**defaults, **settings})


def config(url: str, log: str) -> str:
    chat = f"{url}/v1/chat/completions"
    routes = (
        route("openai", chat),
        route("own", chat, model=""),
        route("priced", chat, options=", input_cost: 1000, output_cost: 2000"),
        route("limited", chat, options=", max_tokens: 5, temperature: 0.5"),
        route("payloads", chat, payloads="true"),
        route("deny", chat, more="response_streaming: deny"),
        route("always", chat, more="response_streaming: always"),
        route("small", chat, more="max_request_body_size: 20000"),
        route("dead", "http://127.0.0.1:1/v1/chat/completions"),
        route("unnamed", chat, more="model_name_header: false"),
        route("keyed", chat, auth=f"auth: {{param_name: key, param_value: {SECRET}, param_location: query}}"),
        route("preserve", f"{url}/anything", route_type="preserve"),
        route("unread", f"{url}/anything", route_type="preserve", model=""),
        route("ollama", f"{url}/api/chat", provider="ollama", model="name: llama3,", auth=""),
        route(
            "selfhosted",
            f"{url}/api/chat",
            provider="llama2",
            model="name: llama3,",
            auth="",
            options=", llama2_format: ollama",
        ),
    )
    plugins = f"""
plugins:
- {{name: prometheus, config: {{ai_metrics: true}}}}
- {{name: file-log, config: {{path: "{log}"}}}}
"""
    return '_format_version: "3.0"\nservices:' + "".join(routes) + plugins


HELLO = [{"role": "user", "content": "one two three four five"}]


async def ask(
    node: Gateway, path: str = "/openai", headers: dict[str, str] | None = None, **members: Any
) -> Reply:
    """A chat request; members replace those of an ordinary one, `None` leaves one out."""
    body = {name: value for name, value in ({"messages": HELLO} | members).items() if value is not None}
    fields = {"Content-Type": "application/json", **(headers or {})}
    return await node.request("POST", path, fields, msgspec.json.encode(body))


def message_of(reply: Reply) -> Any:
    body = reply.json()
    assert isinstance(body, dict)
    return body["error"]["message"]


async def ai_block(node: Gateway, reply: Reply) -> dict[str, Any]:
    """What file-log wrote of the call."""
    record = await record_of(node, reply.headers["x-kong-request-id"])
    block: dict[str, Any] = record["ai"]["proxy"]
    return block


def events(body: bytes) -> list[Any]:
    """The chunks of a stream."""
    found = [event.removeprefix(b"data: ") for event in body.split(b"\n\n") if event.startswith(b"data: {")]
    return [msgspec.json.decode(event) for event in found]


TEXT = recording("openai/chat-text-gpt-4o-mini")
STREAM = recording("openai/chat-stream-include-usage-gpt-4o-mini")
#: what the provider told of these two
TEXT_TOKENS, STREAM_TOKENS = (12, 5), (23, 8)


def growth(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """How counters grew, tokens by their type."""
    grown: dict[str, float] = {}
    for series, value in after.items():
        name, _, labels = series.partition("{")
        assert (
            'ai_model="gpt-4o-mini"' in labels or 'ai_model="llama3"' in labels or value == before.get(series)
        )
        kind = labels.partition('token_type="')[2].partition('"')[0]
        key = kind if name.endswith("_tokens_total") else name
        grown[key] = grown.get(key, 0) + value - before.get(series, 0)
    return grown


async def open_stream(
    node: Gateway, path: str = "/openai", headers: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*node.proxy)
    body = msgspec.json.encode({"messages": HELLO, "stream": True})
    fields = f"Host: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST {path} HTTP/1.1\r\n{fields}\r\n{headers}\r\n"
    writer.write(head.encode() + body)
    return reader, writer
