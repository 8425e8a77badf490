"""What a request of another form asks for beside its messages, as Claude's models take it."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.llm.chat import ChatRequest, OtherTool, Tool, ToolChoice
from tollhouse.llm.families.claude import Claude, Thoughts, thoughts
from tollhouse.llm.form import Unsupported
from tollhouse.llm.formats.anthropic_messages.blocks import cache_mark, marked
from tollhouse.llm.formats.anthropic_messages.schema import held_to, of_arguments
from tollhouse.llm.formats.anthropic_messages.turns import goes_on_unthinking

_NOT_SUPPORTED: Final = "not supported by Claude"
#: Members of OpenAI's requests that are refused: without them the answer would be another one. A value
#: beside the name changes nothing.
_REFUSED: Final[Mapping[str, Any]] = {
    "logit_bias": {},
    "prediction": None,
    "audio": None,
    "modalities": ["text"],
    "web_search_options": None,
    "functions": [],
    "function_call": "none",
}
#: members that say what is so anyway
_SAYS_NOTHING: Final[Mapping[str, Any]] = {"store": False}
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any", "one": "tool"}
_ONLY_JSON: Final = "Answer with one JSON object and nothing else: no other text, no Markdown."
_EFFORT: Final = "reasoning_effort"


class Settings:
    """The members that a request gets, beside messages."""

    def __init__(self, chat: ChatRequest, claude: Claude | None, ignored: list[str]) -> None:
        self._chat = chat
        self._claude = claude
        self._ignored = ignored
        self.members: dict[str, Any] = {}
        #: what the system must say for it
        self.instruction: str | None = None
        self._check()
        self._think()
        self._sample()
        self._tools()
        self._format()
        self._others()

    def _check(self) -> None:
        options = self._chat.options
        if (options.n or 1) > 1:
            raise Unsupported("n", f"n is {_NOT_SUPPORTED}")
        if options.logprobs or options.top_logprobs:
            raise Unsupported("logprobs", f"logprobs are {_NOT_SUPPORTED}")
        for name in ("seed", "presence_penalty", "frequency_penalty"):
            value = getattr(options, name)
            if value is not None and (name == "seed" or value):
                self._ignored.append(name)

    def _think(self) -> None:
        chat, claude = self._chat, self._claude
        limit = chat.options.max_tokens
        if claude is None:
            if chat.effort is not None or chat.thinking_tokens is not None:
                self._ignored.append(_EFFORT)
            plan = Thoughts(max_tokens=limit)
        else:
            plan = thoughts(claude, chat.effort, chat.thinking_tokens, limit, show=chat.show_thinking)
            if plan.thinking is not None and plan.thinking["type"] == "enabled" and self._cannot_think():
                plan = Thoughts(max_tokens=limit, in_vain=True)
            if plan.in_vain:
                self._ignored.append(_EFFORT)
            if limit is not None and plan.max_tokens != limit:
                self._ignored.append("max_tokens")
        self.members["max_tokens"] = required_limit(plan.max_tokens, claude)
        if plan.thinking is not None:
            self.members["thinking"] = plan.thinking
        if plan.effort is not None:
            self._configure("effort", plan.effort)

    def _cannot_think(self) -> bool:
        """With a budget a call cannot be forced; that it is made matters more than thoughts."""
        choice = self._chat.tool_choice
        return (choice is not None and choice.mode in ("required", "one")) or goes_on_unthinking(self._chat)

    def _configure(self, name: str, value: Any) -> None:
        self.members.setdefault("output_config", {})[name] = value

    def _sample(self) -> None:
        options, claude = self._chat.options, self._claude
        given = {
            name: value
            for name in ("temperature", "top_p", "top_k")
            if (value := getattr(options, name)) is not None
        }
        refused: set[str] = set()
        if claude is not None and not claude.samples:
            refused = {*given}
        elif self.members.get("thinking", {}).get("type") in ("enabled", "adaptive"):
            refused = {"temperature", "top_k", "top_p"}
        elif claude is not None and not claude.samples_by_both and "temperature" in given:
            refused = {"top_p"}
        # 1 is what both of these are anyway; that they are left out changes nothing then.
        self._ignored += [name for name in given if name in refused and (name == "top_k" or given[name] != 1)]
        if given.get("temperature", 0) > 1 and "temperature" not in refused:
            given["temperature"] = 1
            self._ignored.append("temperature above 1")
        self.members |= {name: value for name, value in given.items() if name not in refused}
        if options.stop:
            if not all(text.strip() for text in options.stop):
                raise Unsupported("stop", f"stop: a sequence of nothing but space is {_NOT_SUPPORTED}")
            self.members["stop_sequences"] = list(options.stop)

    def _tools(self) -> None:
        chat = self._chat
        if not chat.tools:
            return
        self.members["tools"] = [self._tool(tool) for tool in chat.tools]
        choice, claude = chat.tool_choice, self._claude
        if choice is not None and choice.mode == "other":
            raise Unsupported("tool_choice", f"tool_choice: this choice is {_NOT_SUPPORTED}")
        forced = choice is not None and choice.mode in ("required", "one")
        if forced and claude is not None and not claude.can_be_forced:
            raise Unsupported("tool_choice", "tool_choice: this model decides itself whether to call a tool")
        if chat.parallel_tool_calls is False and choice is not None and choice.mode == "none":
            self._ignored.append("parallel_tool_calls")
        # Calls side by side are what it does unless told otherwise.
        encoded = encoded_choice(choice, parallel=False if chat.parallel_tool_calls is False else None)
        if encoded is not None:
            self.members["tool_choice"] = encoded

    def _tool(self, tool: Tool | OtherTool) -> dict[str, Any]:
        if isinstance(tool, OtherTool):
            raise Unsupported("tools", f"tools: the type '{tool.kind}' is {_NOT_SUPPORTED}")
        body: dict[str, Any] = {"name": tool.name, "input_schema": of_arguments(tool.parameters)}
        if tool.description:
            body["description"] = tool.description
        if tool.strict:
            if self._claude is None or self._claude.keeps_schemas:
                body |= {"strict": True, "input_schema": held_to(body["input_schema"])}
            else:
                self._ignored.append("tools.function.strict")
        return body | marked(tool.cache or cache_mark(tool.extra)[0])

    def _format(self) -> None:
        wanted = self._chat.response_format
        if wanted is None or wanted.kind == "text":
            return
        if wanted.kind == "json_object":
            self.instruction = _ONLY_JSON
            return
        if self._claude is not None and not self._claude.keeps_schemas:
            raise Unsupported("response_format", "response_format: this model cannot be held to a schema")
        self._configure("format", {"type": "json_schema", "schema": held_to(wanted.schema)})

    def _others(self) -> None:
        chat = self._chat
        if chat.user is not None:
            self.members["metadata"] = {"user_id": chat.user}
        for name, value in chat.extra.items():
            if name == "service_tier" and value in _TIERS:
                self.members[name] = _TIERS[value]
            elif name in _REFUSED:
                if value != _REFUSED[name]:
                    raise Unsupported(name, f"{name} is {_NOT_SUPPORTED}")
            elif name not in _SAYS_NOTHING or value != _SAYS_NOTHING[name]:
                self._ignored.append(name)


#: the lowest limit of any Claude that is served
_EVERY_MODEL_WRITES: Final = 4096


def required_limit(max_tokens: int | None, claude: Claude | None) -> int:
    """A limit of tokens must be told here. A client that names none gets all that the model can write; a
    model that is not known gets what every one of them can."""
    if max_tokens is not None:
        return max_tokens
    return _EVERY_MODEL_WRITES if claude is None else claude.output_limit


def encoded_choice(choice: ToolChoice | None, *, parallel: bool | None) -> dict[str, Any] | None:
    if choice is None:
        if parallel is None:
            return None
        choice = ToolChoice("auto")
    if choice.mode == "other":
        other: dict[str, Any] = choice.raw
        return other
    body: dict[str, Any] = {"type": _CHOICES[choice.mode]}
    if choice.mode == "one":
        body["name"] = choice.name
    if parallel is not None and choice.mode != "none":
        body["disable_parallel_tool_use"] = not parallel
    return body
