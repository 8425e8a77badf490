from typing import Any

import pytest

from tollhouse.llm.endpoint import (
    Endpoint,
    Unserved,
    endpoint_at,
    endpoint_of,
    only_chats,
    served,
    text_form,
)
from tollhouse.llm.providers import PROVIDERS

HERE = "http://127.0.0.1:9000/base"


@pytest.mark.parametrize(
    ("url", "address", "path", "query"),
    [
        ("http://a.test", ("http", "a.test", 80), "/", ""),
        ("https://a.test/v1/x?k=v", ("https", "a.test", 443), "/v1/x", "k=v"),
        ("https://a.test:8443/", ("https", "a.test", 8443), "/", ""),
        ("http://[::1]:99/x", ("http", "::1", 99), "/x", ""),
        ("http://a.test/a b", ("http", "a.test", 80), "/a%20b", ""),
    ],
)
def test_an_address_is_taken_apart(url: str, address: tuple[str, str, int], path: str, query: str) -> None:
    assert endpoint_at(url) == Endpoint(address, path, query)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.test",
        "ftp://a.test",
        "http://",
        "http:///x",
        "http://a.test\r\nX: y/",
        "http://a b/",
        "http://a:b/",
        "http://a:99999/",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        endpoint_at(url)


def test_the_host_is_shown_without_its_port() -> None:
    assert endpoint_at("http://a.test:99/").host == "a.test"
    assert endpoint_at("http://[::1]:99/").host == "[::1]"


@pytest.mark.parametrize(
    ("name", "route_type", "more", "shown"),
    [
        ("openai", "llm/v1/chat", {}, "https://api.openai.com:443/v1/chat/completions"),
        ("openai", "llm/v1/completions", {}, "https://api.openai.com:443/v1/completions"),
        ("openai", "llm/v1/chat", {"upstream_path": "x/y"}, "https://api.openai.com:443/x/y"),
        ("openai", "llm/v1/chat", {"upstream_url": HERE}, "http://127.0.0.1:9000/base"),
        (
            "openai",
            "llm/v1/chat",
            {"upstream_url": HERE, "upstream_path": "/p"},
            "http://127.0.0.1:9000/base",
        ),
        ("deepseek", "llm/v1/chat", {}, "https://api.deepseek.com:443/chat/completions"),
        ("groq", "llm/v1/chat", {}, "https://api.groq.com:443/openai/v1/chat/completions"),
        ("ollama", "llm/v1/chat", {}, "http://127.0.0.1:11434/api/chat"),
        ("anthropic", "llm/v1/chat", {}, "https://api.anthropic.com:443/v1/messages"),
        ("local", "llm/v1/chat", {"local": ("127.0.0.1", 77)}, "http://127.0.0.1:77/v1/chat/completions"),
    ],
)
def test_where_a_provider_is_called(name: str, route_type: Any, more: dict[str, Any], shown: str) -> None:
    provider = PROVIDERS[name]

    endpoint = endpoint_of(provider, provider.form, route_type, **more)

    scheme, host, port = endpoint.address
    assert f"{scheme}://{host}:{port}{endpoint.path}" == shown


@pytest.mark.parametrize("name", ["local", "llama2"])
def test_without_an_address_there_is_no_endpoint(name: str) -> None:
    with pytest.raises(ValueError, match=name if name == "llama2" else "embedded"):
        endpoint_of(PROVIDERS[name], "openai_chat", "llm/v1/chat")


def asked(name: str, route_type: Any = "llm/v1/chat", form: str | None = None, url: str | None = None) -> str:
    return served(name, route_type=route_type, server_format=form, upstream_url=url)[1]


@pytest.mark.parametrize(
    ("name", "form", "url", "expected"),
    [
        ("openai", None, None, "openai_chat"),
        ("ollama", None, None, "ollama_chat"),
        ("ollama", None, "http://h/v1/chat/completions", "openai_chat"),
        ("ollama", None, "http://h/api/chat", "ollama_chat"),
        ("llama2", "ollama", HERE, "ollama_chat"),
        ("llama2", "openai", HERE, "openai_chat"),
        ("mistral", "ollama", HERE, "ollama_chat"),
        ("anthropic", None, None, "anthropic_messages"),
        ("anthropic", None, "http://h/v1/messages", "anthropic_messages"),
        ("anthropic", None, "https://api.anthropic.com/v1/chat/completions", "openai_chat"),
        ("local", None, None, "openai_chat"),
        ("azure", None, "http://h/openai/v1/chat/completions", "openai_chat"),
        ("azure", None, HERE, "openai_chat"),
        ("huggingface", None, None, "openai_chat"),
        ("cohere", None, None, "cohere_chat"),
        ("cohere", None, "https://api.cohere.ai/compatibility/v1/chat/completions", "openai_chat"),
    ],
)
def test_which_form_a_server_speaks(name: str, form: str | None, url: str | None, expected: str) -> None:
    assert asked(name, form=form, url=url) == expected


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("openai", None, "openai_responses"),
        ("openai", "http://h/anything", "openai_responses"),
        ("openai", "http://h/v1/chat/completions", "openai_chat"),
        ("together", None, "openai_chat"),
        ("together", "http://h/v1/responses", "openai_responses"),
        ("anthropic", None, "anthropic_messages"),
    ],
)
def test_clients_of_responses_get_them_where_there_are_any(name: str, url: str | None, expected: str) -> None:
    found = served(
        name,
        route_type="llm/v1/responses",
        server_format=None,
        upstream_url=url,
        client="openai_responses",
    )
    assert found[1] == expected


def test_responses_have_an_address_of_their_own() -> None:
    endpoint = endpoint_of(PROVIDERS["xai"], "openai_responses", "llm/v1/responses")

    assert (endpoint.address[1], endpoint.path) == ("api.x.ai", "/v1/responses")


@pytest.mark.parametrize(
    ("name", "route_type", "form", "url", "reason"),
    [
        ("azure", "llm/v1/chat", None, None, "must set 'model.options.upstream_url' for azure provider"),
        (
            "llama2",
            "llm/v1/chat",
            "openai",
            None,
            "must set 'model.options.upstream_url' for llama2 provider",
        ),
    ],
)
def test_what_this_version_cannot_do_is_said(
    name: str, route_type: str, form: str | None, url: str | None, reason: str
) -> None:
    with pytest.raises(Unserved, match=reason):
        asked(name, route_type, form, url)


def test_every_provider_has_one_meaning() -> None:
    for name, provider in PROVIDERS.items():
        assert provider.name == name
        # Hugging Face passes on to many, who have prices of their own.
        assert provider.free or provider.prices or provider.base_url is None or name == "huggingface"


@pytest.mark.parametrize(
    ("name", "url", "chats"),
    [
        ("openai", None, False),
        ("anthropic", None, True),
        ("mistral", None, True),
        ("groq", "http://a/openai/v1/chat/completions", True),
        ("groq", "http://a/openai/v1/completions", False),
        ("cohere", "http://a/v1/completions", False),
        ("ollama", "http://a/api/chat", True),
        ("ollama", "http://a/v1/completions", False),
    ],
)
def test_who_is_asked_for_completions_in_chats(name: str, url: str | None, chats: bool) -> None:
    provider, form = served(name, route_type="llm/v1/completions", server_format=None, upstream_url=url)

    assert only_chats(provider, form, url) is chats


@pytest.mark.parametrize(
    ("name", "route_type", "form", "url", "expected"),
    [
        ("llama2", "llm/v1/chat", "raw", HERE, "llama_raw"),
        ("llama2", "llm/v1/completions", "raw", HERE, "llama_raw"),
        ("llama2", "llm/v1/completions", "ollama", f"{HERE}/api/generate", "ollama_generate"),
        ("llama2", "llm/v1/completions", "ollama", f"{HERE}/api/chat", None),
        ("llama2", "llm/v1/chat", "ollama", HERE, None),
        ("llama2", "llm/v1/completions", "openai", HERE, None),
        ("ollama", "llm/v1/completions", None, f"{HERE}/api/generate", "ollama_generate"),
        ("ollama", "llm/v1/completions", None, HERE, None),
        ("huggingface", "llm/v1/completions", None, HERE, "hugging_face"),
        ("huggingface", "llm/v1/completions", None, f"{HERE}/v1/completions", None),
        ("huggingface", "llm/v1/completions", None, None, None),
        ("huggingface", "llm/v1/chat", None, HERE, None),
    ],
)
def test_who_goes_on_with_a_text(
    name: str, route_type: Any, form: str | None, url: str | None, expected: str | None
) -> None:
    assert text_form(name, route_type=route_type, server_format=form, upstream_url=url) == expected


def test_llamas_raw_form_is_for_clients_of_openai_s() -> None:
    with pytest.raises(Unserved, match="llm_format"):
        served(
            "llama2", route_type="llm/v1/chat", server_format="raw", upstream_url=HERE, client="ollama_chat"
        )


@pytest.mark.parametrize(
    ("route_type", "url", "path"),
    [
        ("llm/v1/chat", HERE, "/base/v1/chat/completions"),
        ("llm/v1/chat", "http://h", "/v1/chat/completions"),
        ("llm/v1/chat", "http://h/own/chat/completions", "/own/chat/completions"),
        ("llm/v1/completions", HERE, "/base"),
    ],
)
def test_chats_are_below_an_endpoint_of_hugging_face(route_type: Any, url: str, path: str) -> None:
    endpoint = endpoint_of(PROVIDERS["huggingface"], "openai_chat", route_type, upstream_url=url)
    assert endpoint.path == path
