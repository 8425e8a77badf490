"""Requests for Bedrock, from the neutral form. Model and stream are told by the path, not here."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import ChatRequest, OtherTool, Tool, ToolCall, ToolChoice, ToolResult
from tollhouse.llm.form import Unsupported
from tollhouse.llm.formats.bedrock_converse.models import can_cache, maker_of
from tollhouse.llm.formats.bedrock_converse.options import INFERENCE_NAMES, Sampling
from tollhouse.llm.formats.bedrock_converse.parts import cache_point, tool_name
from tollhouse.llm.formats.bedrock_converse.turns import encoded_turns

FORM: Final = "bedrock_converse"
#: Bedrock's own that clients of other forms send as well, as Kong lets them: a guard is never left out
_PASSED: Final = frozenset({"guardrailConfig", "performanceConfig"})
#: Members of OpenAI's requests that are refused: without them the answer would be another one. A value
#: beside the name changes nothing.
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
#: OpenAI's and Anthropic's words; `auto` goes without saying
_TIERS: Final = {
    "auto": None,
    "default": "default",
    "standard_only": "default",
    "flex": "flex",
    "priority": "priority",
    "reserved": "reserved",
}
#: what stands in metadata: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
_METADATA: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_METADATA_AT_MOST: Final = 16
_JSON_ONLY: Final = "Answer with one JSON object and nothing else."
_NO_PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_NOT_SUPPORTED: Final = "not supported by models on Bedrock"


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    if chat.form == FORM:
        return _own(chat, ignored)
    system, turns = encoded_turns(chat, own=False, ignored=ignored)
    sampling = Sampling(chat, ignored)
    output: dict[str, Any] = {} if sampling.effort is None else {"effort": sampling.effort}
    wanted = chat.response_format
    if wanted is not None and wanted.kind == "json_object":
        system.append({"text": _JSON_ONLY})
    elif wanted is not None:
        output |= _text_format(chat)
    tools = _tool_config(chat, ignored, sampling.additional)
    body: dict[str, Any] = {"messages": turns}
    optional = {
        "system": system,
        "inferenceConfig": sampling.inference,
        "toolConfig": tools,
        "outputConfig": output,
        "additionalModelRequestFields": sampling.additional,
    }
    body |= {name: value for name, value in optional.items() if value}
    if chat.options.stop and maker_of(chat.model) == "claude":
        # Which stop sequence it was is told only to those who ask, and stands elsewhere in streams.
        body["additionalModelResponseFieldPaths"] = [
            "/delta/stop_sequence" if chat.stream else "/stop_sequence"
        ]
    return body | dict(_others(chat, ignored))


def _own(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    """For a client of this form: what it sent."""
    system, turns = encoded_turns(chat, own=True, ignored=ignored)
    options = {name: getattr(chat.options, neutral) for neutral, name in INFERENCE_NAMES.items()}
    additional: dict[str, Any] = {}
    if chat.options.top_k is not None:
        additional["top_k"] = chat.options.top_k
    if chat.thinking_tokens is not None:
        budget = {"type": "enabled", "budget_tokens": chat.thinking_tokens}
        additional["thinking"] = budget if chat.thinking_tokens else {"type": "disabled"}
    output = _text_format(chat)
    if chat.effort is not None and maker_of(chat.model) == "gpt_oss":
        additional["reasoning_effort"] = chat.effort
    elif chat.effort is not None:
        output["effort"] = chat.effort
    objects: dict[str, dict[str, Any]] = {
        "inferenceConfig": {name: value for name, value in options.items() if value is not None},
        "toolConfig": _tool_config(chat, ignored, additional),
        "outputConfig": output,
        "additionalModelRequestFields": additional,
    }
    body: dict[str, Any] = {"messages": turns} | ({"system": system} if system else {})
    for name, value in chat.extra.items():
        place, dot, member = name.partition(".")
        if dot and place in objects:
            objects[place][member] = value
        else:
            body[name] = value
    if chat.user is not None:
        body["requestMetadata"] = {"user": chat.user, **body.get("requestMetadata", {})}
    return body | {name: value for name, value in objects.items() if value}


def _others(chat: ChatRequest, ignored: list[str]) -> Iterator[tuple[str, Any]]:
    """What clients of other forms say beyond the neutral form, as far as it has a place here."""
    metadata = {} if chat.user is None else {"user": chat.user}
    for name, value in chat.extra.items():
        if name in _REFUSED:
            if value != _REFUSED[name]:
                raise Unsupported(name, f"{name} is {_NOT_SUPPORTED}")
        elif name == "service_tier" and value in _TIERS:
            if (tier := _TIERS[value]) is not None:
                yield "serviceTier", {"type": tier}
        elif name == "metadata" and isinstance(value, dict):
            metadata |= value
        elif name in _PASSED and isinstance(value, dict):
            yield name, value
        else:
            ignored.append(name)
    taken = {
        name: value
        for name, value in list(metadata.items())[:_METADATA_AT_MOST]
        if isinstance(value, str) and _METADATA.fullmatch(value) and _METADATA.fullmatch(name)
    }
    ignored += ["user" if name == "user" else f"metadata.{name}" for name in metadata if name not in taken]
    if taken:
        yield "requestMetadata", taken


def _text_format(chat: ChatRequest) -> dict[str, Any]:
    wanted = chat.response_format
    if wanted is None or wanted.kind != "json_schema":
        return {}
    members = wanted.extra
    if chat.form != FORM:
        members = {name: members[name] for name in ("name", "description") if members.get(name)}
    schema = {"schema": msgspec.json.encode(wanted.schema).decode(), **members}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}


# Tools


def _tool_config(chat: ChatRequest, ignored: list[str], additional: dict[str, Any]) -> dict[str, Any]:
    """Bedrock refuses calls and results in a conversation without it, and refuses it without tools."""
    own, choice = chat.form == FORM, chat.tool_choice
    names = _names_in_history(chat)
    if not own and choice is not None and choice.mode == "none" and chat.tools:
        if not names:
            return {}
        ignored.append("tool_choice")  # there is no member for it, and the tools cannot be left out
        choice = None
    tools = [element for tool in chat.tools for element in _encoded_tool(tool, chat, ignored)]
    if not tools:
        return {"tools": [_spec(Tool(name), own=own) for name in names]} if names else {}
    config: dict[str, Any] = {"tools": tools}
    if own:
        return config | ({} if choice is None else {"toolChoice": _encoded_choice(choice)})
    if chat.parallel_tool_calls is False:
        if maker_of(chat.model) == "claude":
            # Bedrock refuses a member that it sets itself as well: this one stands for `toolChoice`.
            additional["tool_choice"] = _one_call_at_a_time(choice)
            return config
        ignored.append("parallel_tool_calls")
    if choice is not None and choice.mode != "auto":
        if choice.mode == "other":
            raise Unsupported("tool_choice", f"tool_choice: this choice is {_NOT_SUPPORTED}")
        config["toolChoice"] = _encoded_choice(choice)
    return config


def _names_in_history(chat: ChatRequest) -> list[str]:
    """The tools that were called, each once; if only results are left, a name for what gave them."""
    parts = [part for message in chat.messages for part in message.parts]
    names = dict.fromkeys(part.name for part in parts if isinstance(part, ToolCall))
    if not names and any(isinstance(part, ToolResult) for part in parts):
        return ["tool"]
    return list(names)


def _encoded_tool(tool: Tool | OtherTool, chat: ChatRequest, ignored: list[str]) -> list[dict[str, Any]]:
    own = chat.form == FORM
    if isinstance(tool, OtherTool):
        if not own:
            raise Unsupported("tools", f"tools: the type '{tool.kind}' is {_NOT_SUPPORTED}")
        return [dict(tool.raw)]
    if not own:
        tool_name(tool.name, "tools")
        ignored += [f"tools.{name}" for name in tool.extra]
    if tool.cache is None:
        return [_spec(tool, own=own)]
    if not own and not can_cache(chat.model):
        ignored.append("tools.cache")
        return [_spec(tool, own=own)]
    return [_spec(tool, own=own), cache_point(tool.cache)]


def _spec(tool: Tool, *, own: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description:
        spec["description"] = tool.description
    schema = dict(_NO_PARAMETERS if tool.parameters is None else tool.parameters)
    if not own:
        schema.setdefault("type", "object")
    spec["inputSchema"] = {"json": schema}
    if tool.strict or (own and tool.strict is not None):
        spec["strict"] = tool.strict
    return {"toolSpec": spec | (dict(tool.extra) if own else {})}


def _encoded_choice(choice: ToolChoice) -> Any:
    match choice.mode:
        case "required":
            return {"any": {}}
        case "one":
            return {"tool": {"name": choice.name}}
        case "other":
            return choice.raw
        case _:
            return {"auto": {}}


def _one_call_at_a_time(choice: ToolChoice | None) -> dict[str, Any]:
    """Anthropic's word for it."""
    kinds = {"required": "any", "one": "tool"}
    named = {"type": "auto" if choice is None else kinds.get(choice.mode, "auto")}
    if choice is not None and choice.mode == "one":
        named["name"] = choice.name
    return {**named, "disable_parallel_tool_use": True}
