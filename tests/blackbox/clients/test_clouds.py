"""Models on clouds: who asks there is proven by a signature, or by a token that is traded for."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.support.gateway import Gateway
from tests.support.models import ModelServer, plain, replay
from tests.support.recordings import recording
from tests.support.sdks.site import FORMATS, SDKS, Site, assert_no_client_key
from tests.support.upstream import Received

from tollhouse.llm.provider import FormName

KEY: Final = "AKIDGATEWAY"
SECRET: Final = "s3cr3t+of/the=gateway"
SESSION: Final = "session-of-the-gateway"
VERTEX: Final = "/v1/projects/p/locations/eu/publishers/anthropic/models/claude-opus-4-6"
MODEL: Final = "arn:aws:bedrock:eu-west-1:000000000000:inference-profile/eu.anthropic.claude-opus-4-6-v1:0"
ROUTE: Final = """
- name: {name}
  url: http://127.0.0.1:1
  retries: 0
  routes: [{{name: {name}, paths: [/{name}]}}]
  plugins:
  - name: ai-proxy
    config:
      route_type: {route_type}
      llm_format: {format}
      auth: {auth}
      model: {model}
"""
clients = pytest.mark.parametrize("client", list(SDKS))


def route(name: str, client: FormName, auth: dict[str, Any], model: dict[str, Any]) -> str:
    kind = "responses" if client == "openai_responses" else "chat"
    given = {"allow_override": False, **auth}
    return ROUTE.format(
        name=f"{name}-{client}",
        format=FORMATS[client],
        route_type=f"llm/v1/{kind}",
        auth=json.dumps(given),
        model=json.dumps(model),
    )


@pytest.fixture(scope="module")
async def clouds() -> AsyncIterator[Site]:
    models = ModelServer()
    await models.start()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    account = {"type": "service_account", "client_email": "a@b", "token_uri": f"{models.url}/token"}
    account["private_key"] = key.private_bytes(*pem).decode()
    google = {"gcp_use_service_account": True, "gcp_service_account_json": json.dumps(account)}
    place = {"api_endpoint": "eu-aiplatform.test", "project_id": "p", "location_id": "eu"}
    claude = {
        "provider": "gemini",
        "name": "claude-opus-4-6",
        "options": {"upstream_url": f"{models.url}{VERTEX}:rawPredict", "gemini": place},
    }
    bedrock = {
        "provider": "bedrock",
        "name": MODEL,
        "options": {"upstream_url": models.url + "/model/{model}/converse"},
    }
    routes = [
        route(*given)
        for client in SDKS
        for given in (("aws", client, {}, bedrock), ("gcp", client, google, claude))
    ]
    credentials = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SESSION}
    node = await Gateway.start(
        '_format_version: "3.0"\nservices:' + "".join(routes),
        environment={**credentials, "AWS_REGION": "eu-west-1"},
    )
    site = Site(node, models, {})
    yield site
    site.close()
    await node.stop()
    await models.stop()


def signed_by_botocore(received: Received) -> str:
    """The Authorization that AWS's own signer gives what has arrived, at the time that it tells."""
    auth = importlib.import_module("botocore.auth")
    request = importlib.import_module("botocore.awsrequest").AWSRequest
    credentials = importlib.import_module("botocore.credentials").Credentials
    theirs = received.headers
    names = theirs["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    url = f"http://{theirs['host']}{received.target}"
    fields = {name: theirs[name] for name in names if name != "host"}
    asked = request(received.method, url, fields, received.body)
    asked.context["timestamp"] = theirs["x-amz-date"]
    signer = auth.SigV4Auth(credentials(KEY, SECRET, SESSION), "bedrock", "eu-west-1")
    canonical = signer.canonical_request(asked)
    signature = signer.signature(signer.string_to_sign(asked, canonical), asked)
    scope = f"Credential={signer.scope(asked)}, SignedHeaders={';'.join(names)}"
    return f"AWS4-HMAC-SHA256 {scope}, Signature={signature}"


@clients
@pytest.mark.parametrize("stream", [False, True])
async def test_bedrock_believes_the_gateway_and_never_sees_the_client_s_signature(
    clouds: Site, client: FormName, stream: bool
) -> None:
    name = "stream-text-us.anthropic.claude-haiku-4-" if stream else "thinking-us.anthropic.claude-haiku-4-"
    clouds.models.play = replay(recording(f"bedrock/converse-{name}"))
    clouds.models.received.clear()

    sdk = clouds.client(client, f"/aws-{client}")
    seen = await asyncio.to_thread(sdk.ask, MODEL, stream=stream)

    assert seen.text
    received = clouds.models.last
    assert received.target.endswith("/converse-stream" if stream else "/converse")
    assert "inference-profile%2Feu." in received.target
    assert received.headers["x-amz-security-token"] == SESSION
    assert received.headers["authorization"] == signed_by_botocore(received)
    assert_no_client_key(clouds.models)


@clients
@pytest.mark.parametrize("stream", [False, True])
async def test_claude_on_vertex_is_asked_in_its_own_form_with_a_token(
    clouds: Site, client: FormName, stream: bool
) -> None:
    name = "stream-text-claude-3-5-haiku-20241022" if stream else "tool-call-claude-haiku-4-5-20251001"
    answer = replay(recording(f"anthropic/messages-{name}"))
    token = plain(b'{"access_token": "ya29.gateway", "expires_in": 3600}')

    async def play(received: Received, writer: asyncio.StreamWriter) -> bool:
        return await (token if received.target == "/token" else answer)(received, writer)

    clouds.models.play = play

    sdk = clouds.client(client, f"/gcp-{client}")
    seen = await asyncio.to_thread(sdk.ask, "claude-opus-4-6", stream=stream)

    assert seen.text or seen.calls
    received = clouds.models.last
    assert received.target == f"{VERTEX}:{'streamRawPredict' if stream else 'rawPredict'}"
    assert received.headers["authorization"] == "Bearer ya29.gateway"
    body = clouds.models.last_body
    assert body["anthropic_version"] == "vertex-2023-10-16"
    assert body.get("stream", False) is stream
    assert "model" not in body
    assert body["max_tokens"] > 0
