"""Lists of models and single entries of them, as the SDKs of each form read them.

https://platform.openai.com/docs/api-reference/models, https://platform.claude.com/docs/en/api/models-list,
https://ai.google.dev/api/models, https://docs.cohere.com/reference/list-models,
https://docs.ollama.com/api/tags,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from tollhouse.llm.provider import FormName

#: when a model was made nobody knows here; SDKs want a date
_LONG_AGO: Final = "1970-01-01T00:00:00Z"
_NO_ARN: Final = "arn:aws:bedrock:::foundation-model/"


class Entry(NamedTuple):
    """A model under the name that leads to it."""

    id: str
    provider: str


def openai(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "object": "model", "created": 0, "owned_by": entry.provider}


def _anthropic(entry: Entry) -> dict[str, Any]:
    return {"type": "model", "id": entry.id, "display_name": entry.id, "created_at": _LONG_AGO}


def _gemini(entry: Entry) -> dict[str, Any]:
    methods = ["generateContent", "countTokens", "embedContent"]
    return {
        "name": f"models/{entry.id}",
        "displayName": entry.id,
        "supportedGenerationMethods": methods,
    }


def _cohere(entry: Entry) -> dict[str, Any]:
    return {"name": entry.id, "endpoints": ["chat"], "finetuned": False}


def _ollama(entry: Entry) -> dict[str, Any]:
    # Its SDK wants a size and a date; what runs elsewhere has neither here.
    return {
        "name": entry.id,
        "model": entry.id,
        "modified_at": _LONG_AGO,
        "size": 0,
        "digest": "",
        "details": {"family": entry.provider},
    }


def _bedrock(entry: Entry) -> dict[str, Any]:
    return {
        "modelArn": _NO_ARN + entry.id,
        "modelId": entry.id,
        "modelName": entry.id,
        "providerName": entry.provider,
        "responseStreamingSupported": True,
    }


_ONE: Final[Mapping[FormName, Callable[[Entry], dict[str, Any]]]] = {
    "anthropic_messages": _anthropic,
    "gemini": _gemini,
    "cohere_chat": _cohere,
    "ollama_chat": _ollama,
    "bedrock_converse": _bedrock,
}
_LISTS: Final[Mapping[FormName, str]] = {
    "gemini": "models",
    "cohere_chat": "models",
    "ollama_chat": "models",
    "bedrock_converse": "modelSummaries",
}


def one(form: FormName, entry: Entry) -> dict[str, Any]:
    """One model, for a client of that form."""
    return _ONE.get(form, openai)(entry)


def all_of(form: FormName, entries: Sequence[Entry]) -> dict[str, Any]:
    """All of them: on one page, whatever page was asked for."""
    shown = [one(form, entry) for entry in entries]
    if form in _LISTS:
        return {_LISTS[form]: shown}
    if form != "anthropic_messages":
        return {"object": "list", "data": shown}
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return {"data": shown, "has_more": False, "first_id": first, "last_id": last}


def asking_form(form: FormName, headers: Mapping[str, str]) -> FormName:
    """Four SDKs ask for `/v1/models`: theirs are told apart by their headers, with names in lower case."""
    if form != "openai_chat":
        return form
    if "anthropic-version" in headers:
        return "anthropic_messages"
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers:
        return "gemini"
    return "cohere_chat" if headers.get("x-fern-sdk-name") == "cohere" else form
