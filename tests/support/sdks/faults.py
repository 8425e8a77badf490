"""Calls that fail, at a provider of each form or at the gateway, and what every SDK makes of them."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest
from tests.support.models import plain
from tests.support.sdks.seen import Client
from tests.support.sdks.site import FORMS, Site
from tests.support.upstream import Answer

from tollhouse.llm.provider import FormName

RETRY_AFTER: Final = "Retry-After: 7"
#: what a provider of each form answers, by what is wrong
_TOLD: Final[dict[FormName, dict[str, tuple[int, Any, tuple[str, ...]]]]] = {
    "openai_chat": {
        "rate_limit": (
            429,
            {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded"}},
            (RETRY_AFTER,),
        ),
        "context_length": (
            400,
            {"error": {"message": "maximum context length is 8", "code": "context_length_exceeded"}},
            (),
        ),
        "key": (401, {"error": {"message": "Incorrect API key", "code": "invalid_api_key"}}, ()),
        "server": (500, {"error": {"message": "The server had an error", "type": "server_error"}}, ()),
    },
    "anthropic_messages": {
        "rate_limit": (
            429,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}},
            (RETRY_AFTER,),
        ),
        "context_length": (
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"},
            },
            (),
        ),
        "key": (
            401,
            {"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}},
            (),
        ),
        "server": (500, {"type": "error", "error": {"type": "api_error", "message": "Oops"}}, ()),
    },
    "gemini": {
        "rate_limit": (
            429,
            {
                "error": {
                    "code": 429,
                    "message": "Slow down",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"},
                    ],
                }
            },
            (),
        ),
        "context_length": (
            400,
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                    "status": "INVALID_ARGUMENT",
                }
            },
            (),
        ),
        "key": (
            400,
            {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}},
            (),
        ),
        "server": (500, {"error": {"code": 500, "message": "Oops", "status": "INTERNAL"}}, ()),
    },
    "bedrock_converse": {
        "rate_limit": (
            429,
            {"message": "Slow down"},
            ("x-amzn-errortype: ThrottlingException", RETRY_AFTER),
        ),
        "context_length": (
            400,
            {"message": "Input is too long for requested model."},
            ("x-amzn-errortype: ValidationException",),
        ),
        "key": (
            403,
            {"message": "The security token included in the request is invalid."},
            ("x-amzn-errortype: UnrecognizedClientException",),
        ),
        "server": (500, {"message": "Oops"}, ("x-amzn-errortype: InternalServerException",)),
    },
    "cohere_chat": {
        "rate_limit": (429, {"message": "Slow down"}, (RETRY_AFTER,)),
        "context_length": (400, {"error_type": "TOO_MANY_TOKENS", "message": "too many tokens: 9"}, ()),
        "key": (401, {"message": "invalid api token"}, ()),
        "server": (500, {"message": "internal server error"}, ()),
    },
    "ollama_chat": {
        "rate_limit": (429, {"error": "Slow down"}, (RETRY_AFTER,)),
        "context_length": (400, {"error": "the prompt exceeds the context length of the model"}, ()),
        "key": (401, {"error": "unauthorized"}, ()),
        "server": (500, {"error": "model runner has stopped"}, ()),
    },
}
_TOLD["openai_responses"] = _TOLD["openai_chat"]
WRONG: Final = ("rate_limit", "context_length", "key", "server")


def failing(form: FormName, wrong: str) -> Answer:
    status, body, fields = _TOLD[form][wrong]
    return plain(json.dumps(body).encode(), status, *fields)


@dataclass(frozen=True, slots=True)
class Raised:
    """How an SDK tells an application of an error."""

    #: kind of exception and HTTP status, by what is wrong; `refused` is the client's own key
    kinds: Mapping[str, tuple[type[Exception], int]]
    status: Callable[[Any], int]
    #: header fields of the answer, by names in lower case; `None` where the SDK does not show them
    fields: Callable[[Any], Mapping[str, str]] | None


every_fault = pytest.mark.parametrize(("form", "wrong"), [(form, wrong) for form in FORMS for wrong in WRONG])


async def fail(client: Client, model: str, *, stream: bool = False) -> Exception:
    """What is raised by asking."""
    with pytest.raises(Exception, match=r"(?s).*") as raised:
        await asyncio.to_thread(client.ask, model, stream=stream)
    return raised.value


async def check_fault(site: Site, name: FormName, raised: Raised, form: FormName, wrong: str) -> None:
    """A provider's error, plain and streamed, is what the SDK of the client raises for that."""
    site.models.play = failing(form, wrong)
    client = site.client(name, f"/proxy/{name}/{form}")
    kind, status = raised.kinds[wrong]
    # Who speaks the provider's own form gets its own words: of the gateway's key as well.
    same = name == form or {name, form} == {"openai_chat", "openai_responses"}
    if same and wrong == "key":
        return
    for stream in (False, True):
        error = await fail(client, FORMS[form][1], stream=stream)

        assert isinstance(error, kind), repr(error)
        assert raised.status(error) == status
        if wrong == "rate_limit" and raised.fields is not None:
            fields = {name.lower(): value for name, value in raised.fields(error).items()}
            assert name == form == "gemini" or (stream and form == "gemini") or fields["retry-after"] == "7"


async def check_fault_of(site: Site, client: Client, raised: Raised, form: FormName, wrong: str) -> None:
    """The same for an SDK of somebody who speaks OpenAI's form, by the model's name."""
    if form == "openai_responses" or (form, wrong) == ("openai_chat", "key"):
        return
    site.models.play = failing(form, wrong)
    provider, model, _ = FORMS[form]
    kind, status = raised.kinds[wrong]
    for stream in (False, True):
        error = await fail(client, f"{provider}/{model}", stream=stream)

        assert isinstance(error, kind), repr(error)
        assert raised.status(error) == status


async def check_own_refusals(site: Site, name: FormName, raised: Raised) -> None:
    """What key-auth and rate-limiting refuse is what the SDK raises for that."""
    kind, status = raised.kinds["refused"]
    error = await fail(site.client(name, "/guarded"), "openai/gpt-4.1")
    assert isinstance(error, kind), repr(error)
    assert raised.status(error) == status

    site.models.play = plain(b"{}", 500)
    kind, status = raised.kinds["rate_limit"]
    limited = site.client(name, "/limited")
    errors = [await fail(limited, "openai/gpt-4.1") for _ in range(2)]
    assert isinstance(errors[-1], kind), repr(errors[-1])
    assert raised.status(errors[-1]) == status
    if raised.fields is not None:
        fields = {name.lower(): value for name, value in raised.fields(errors[-1]).items()}
        assert int(fields["retry-after"]) > 0
