"""Requests of `generateContent` for a provider: https://ai.google.dev/api/generate-content

The model and whether to stream stand in the path, not here.
"""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.llm.chat import ChatRequest, Options, OtherTool, ResponseFormat, Tool, ToolChoice
from tollhouse.llm.families import gemini as family
from tollhouse.llm.form import Unsupported
from tollhouse.llm.formats.gemini.asked import CONFIG, FORM, THINKING, TOOLS
from tollhouse.llm.formats.gemini.contents import NOT_SUPPORTED, Contents
from tollhouse.llm.formats.gemini.schema import cleaned

#: neutral option → Gemini's
OPTION_NAMES: Final = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
    "logprobs": "responseLogprobs",
    "top_logprobs": "logprobs",
}
_STOPS_AT_MOST: Final = 5
#: Members of OpenAI's requests without which the answer would be another one. A value beside the name
#: changes nothing.
_REFUSED: Final[Mapping[str, Any]] = {
    "logit_bias": {},
    "prediction": None,
    "audio": None,
    "modalities": ["text"],
    "web_search_options": None,
    "store": False,
    "functions": [],
    "function_call": "none",
}
#: OpenAI's service tiers → Google's; `auto` is to leave it open
_TIERS: Final = {"auto": None, "default": "standard", "flex": "flex", "priority": "priority"}
#: what clients of OpenAI's form, which has no pictures in answers of its own, ask such models for
_WITH_PICTURES: Final = (["text", "image"], ["image", "text"], ["image"])
_RESOLUTIONS: Final = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY", "one": "ANY"}


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    own = chat.form == FORM
    contents = Contents(chat, own, ignored)
    body: dict[str, Any] = {"contents": contents.turns}
    if contents.system:
        body["systemInstruction"] = {"parts": contents.system}
    config = _options(chat.options, own=own)
    if chat.response_format is not None:
        config |= _format(chat.response_format, chat.model)
    thinking = _thinking(chat, ignored, own=own)
    if contents.details - {"auto"}:
        _look(contents.details, config, ignored)
    if chat.tools:
        body["tools"] = _tools(chat, ignored, own=own)
    tool_config = _choice(chat.tool_choice, own=own) if chat.tool_choice is not None else {}
    if chat.parallel_tool_calls is False:
        ignored.append("parallel_tool_calls")
    if chat.user is not None:
        ignored.append("user")
    if own:
        _put_back(chat.extra, {"": body, CONFIG: config, THINKING: thinking, TOOLS: tool_config})
    else:
        _others(chat.extra, body, config, ignored)
    if thinking:
        config["thinkingConfig"] = thinking
    if config:
        body["generationConfig"] = config
    if tool_config:
        body["toolConfig"] = tool_config
    return body


def _options(options: Options, *, own: bool) -> dict[str, Any]:
    if len(options.stop or ()) > _STOPS_AT_MOST:
        raise Unsupported("stop", f"stop: Gemini models know {_STOPS_AT_MOST} stop sequences at most")
    if not own and (options.n or 1) > 1:
        raise Unsupported("n", f"n is {NOT_SUPPORTED}")
    given = {name: getattr(options, neutral) for neutral, name in OPTION_NAMES.items()}
    return {name: value for name, value in given.items() if value is not None}


def _format(wanted: ResponseFormat, model: str) -> dict[str, Any]:
    if wanted.kind == "text":
        return {}
    config: dict[str, Any] = {"responseMimeType": "application/json"}
    if wanted.kind == "json_schema" and wanted.schema is not None:
        if family.takes_json_schema(model):
            config["responseJsonSchema"] = wanted.schema
        else:
            config["responseSchema"] = cleaned(wanted.schema, "response_format")
    return config


def _thinking(chat: ChatRequest, ignored: list[str], *, own: bool) -> dict[str, Any]:
    """What a client of this form counted stays as it is; a model gets a level only if it knows levels."""
    config: dict[str, Any] = {}
    if own and chat.thinking_tokens is not None:
        config["thinkingBudget"] = chat.thinking_tokens
    elif own and chat.effort == "xhigh" and family.takes_levels(chat.model):
        config["thinkingLevel"] = "XHIGH"
    elif chat.effort is not None or chat.thinking_tokens is not None:
        config, honoured = (
            family.thinking_by_effort(chat.model, chat.effort)
            if chat.effort is not None
            else family.thinking_by_tokens(chat.model, chat.thinking_tokens or 0)
        )
        if not honoured:
            ignored.append("reasoning_effort" if chat.effort is not None else "thinking")
    if chat.show_thinking is not None and (own or family.thinks(chat.model)):
        config["includeThoughts"] = chat.show_thinking
    return config


def _look(details: set[str], config: dict[str, Any], ignored: list[str]) -> None:
    """How closely to look is told for all pictures together."""
    (detail, *others) = details
    if others or detail not in _RESOLUTIONS:
        ignored.append("messages.content.image_url.detail")
    else:
        config["mediaResolution"] = _RESOLUTIONS[detail]


def _tools(chat: ChatRequest, ignored: list[str], *, own: bool) -> list[dict[str, Any]]:
    functions: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for tool in chat.tools:
        if isinstance(tool, Tool):
            functions.append(_function(tool, chat.model, own=own))
            if tool.strict:
                ignored.append("tools.function.strict")
            if tool.cache is not None:
                ignored.append("cache_control")
        elif isinstance(tool, OtherTool) and own:
            others.append(dict(tool.raw))
        else:
            raise Unsupported("tools", f"tools: the type '{tool.kind}' is {NOT_SUPPORTED}")
    return ([{"functionDeclarations": functions}] if functions else []) + others


def _function(tool: Tool, model: str, *, own: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    if own and "parameters" in tool.extra:
        return body | dict(tool.extra)
    if tool.parameters is not None:
        if family.takes_json_schema(model):
            body["parametersJsonSchema"] = tool.parameters
        else:
            body["parameters"] = cleaned(tool.parameters, f"tools: {tool.name}")
    return body | (dict(tool.extra) if own else {})


def _choice(choice: ToolChoice, *, own: bool) -> dict[str, Any]:
    if choice.mode == "other":
        if own:
            return {"functionCallingConfig": choice.raw}
        raise Unsupported("tool_choice", f"tool_choice: a choice of this kind is {NOT_SUPPORTED}")
    calling: dict[str, Any] = {"mode": _MODES[choice.mode]}
    if choice.mode == "one":
        calling["allowedFunctionNames"] = [choice.name]
    return {"functionCallingConfig": calling}


def _put_back(extra: Mapping[str, Any], places: dict[str, dict[str, Any]]) -> None:
    """Members that came in this form go where they were."""
    for name, value in extra.items():
        head, dot, _ = name.rpartition(".")
        place = f"{head}{dot}"
        places[place][name.removeprefix(place)] = value


def _others(
    extra: Mapping[str, Any], body: dict[str, Any], config: dict[str, Any], ignored: list[str]
) -> None:
    for name, value in extra.items():
        if name == "service_tier" and value in _TIERS:
            if _TIERS[value] is not None:
                body["serviceTier"] = _TIERS[value]
        elif name == "modalities" and value in _WITH_PICTURES:
            config["responseModalities"] = [each.upper() for each in value]
        elif name not in _REFUSED:
            ignored.append(name)
        elif value != _REFUSED[name]:
            raise Unsupported(name, f"{name} is {NOT_SUPPORTED}")
