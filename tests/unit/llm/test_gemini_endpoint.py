"""Where Gemini models are called, whole and streamed."""

from typing import Any

import pytest

from tollhouse.llm.destination import Destinations
from tollhouse.llm.endpoint import Endpoint, endpoint_of, served
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.settings import Gemini, Model, Options

GEMINI = PROVIDERS["gemini"]
HOST = "https://generativelanguage.googleapis.com:443"
VERTEX = Gemini(
    api_endpoint="europe-west1-aiplatform.googleapis.com", project_id="p", location_id="europe-west1"
)
WITHIN = (
    "https://europe-west1-aiplatform.googleapis.com:443"
    "/v1/projects/p/locations/europe-west1/publishers/google/models/"
)


def shown(endpoint: Endpoint | None) -> str | None:
    if endpoint is None:
        return None
    scheme, host, port = endpoint.address
    return f"{scheme}://{host}:{port}{endpoint.path}" + (f"?{endpoint.query}" if endpoint.query else "")


@pytest.mark.parametrize(
    ("model", "more", "whole", "streamed"),
    [
        (
            "gemini-2.5-flash",
            {},
            f"{HOST}/v1beta/models/gemini-2.5-flash:generateContent",
            f"{HOST}/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        (
            "models/gemini-2.5-flash",
            {},
            f"{HOST}/v1beta/models/gemini-2.5-flash:generateContent",
            f"{HOST}/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        # A client may choose the model, but nothing else of the path.
        (
            "../x?y=z#:",
            {},
            f"{HOST}/v1beta/models/..%2Fx%3Fy%3Dz%23%3A:generateContent",
            f"{HOST}/v1beta/models/..%2Fx%3Fy%3Dz%23%3A:streamGenerateContent?alt=sse",
        ),
        (
            "m",
            {"google_cloud": VERTEX},
            f"{WITHIN}m:generateContent",
            f"{WITHIN}m:streamGenerateContent?alt=sse",
        ),
        (
            "m",
            {"google_cloud": Gemini()},
            f"{HOST}/v1beta/models/m:generateContent",
            f"{HOST}/v1beta/models/m:streamGenerateContent?alt=sse",
        ),
        (
            "m",
            {"upstream_url": "http://h:9/v1/models/{model}:generateContent?k=v"},
            "http://h:9/v1/models/m:generateContent?k=v",
            "http://h:9/v1/models/m:streamGenerateContent?k=v&alt=sse",
        ),
        # somebody's own address is taken at its word
        ("m", {"upstream_url": "http://h:9/anything"}, "http://h:9/anything", None),
        ("m", {"upstream_path": "/anything"}, f"{HOST}/anything", None),
    ],
)
def test_where_gemini_is_called(model: str, more: Any, whole: str, streamed: str | None) -> None:
    endpoint = endpoint_of(GEMINI, "gemini", "llm/v1/chat", model=model, **more)

    assert shown(endpoint) == whole
    assert shown(endpoint.stream) == streamed


@pytest.mark.parametrize(
    ("url", "form"),
    [
        (None, "gemini"),
        ("http://h/v1/models/m:generateContent", "gemini"),
        ("http://h/v1/chat/completions", "gemini"),
        ("https://generativelanguage.googleapis.com/v1beta/openai/chat/completions", "openai_chat"),
        ("https://h/v1/projects/p/locations/l/endpoints/openapi/chat/completions", "openai_chat"),
    ],
)
def test_which_form_it_speaks(url: str | None, form: str) -> None:
    provider, found = served("gemini", route_type="llm/v1/chat", server_format=None, upstream_url=url)

    assert (provider, found) == (GEMINI, form)


def test_its_openai_compatible_endpoint_has_one_address_for_all() -> None:
    url = "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"

    endpoint = endpoint_of(GEMINI, "openai_chat", "llm/v1/chat", model="m", upstream_url=url)

    assert (shown(endpoint), endpoint.stream) == (f"{HOST}/v1beta/openai/chat/completions", None)


def test_its_key_has_a_field_of_its_own() -> None:
    assert GEMINI.key is not None
    assert GEMINI.key("k") == ("x-goog-api-key", "k")


def test_settings_name_a_project_and_a_location() -> None:
    model = Model(provider="gemini", name="m", options=Options(gemini=VERTEX))

    found = Destinations(model, GEMINI, "gemini", "llm/v1/chat", None)

    assert found.only is not None
    assert shown(found.only.endpoint) == f"{WITHIN}m:generateContent"
