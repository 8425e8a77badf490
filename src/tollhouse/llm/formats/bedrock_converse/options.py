"""How to sample and to think, in the words of the model's maker.

What Converse has no member for goes to `additionalModelRequestFields`, which become members of the
model's own request. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from typing import Any, Final

from tollhouse.llm.chat import ChatRequest, Effort, Thinking, ToolCall
from tollhouse.llm.families import claude
from tollhouse.llm.form import Unsupported
from tollhouse.llm.formats.bedrock_converse.models import is_nova_2, maker_of

#: neutral option → Converse's
INFERENCE_NAMES: Final = {
    "max_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
}
#: what the options are called by those who hear that one was left out
_TOLD_AS: Final = {"topP": "top_p"}
_REDUCED: Final[dict[Effort, str]] = {"minimal": "low", "low": "low", "medium": "medium"}
#: budget in tokens up to which an effort stands for it
_EFFORT_UP_TO: Final[tuple[tuple[int, Effort], ...]] = ((2048, "low"), (8192, "medium"))
#: models of these makers take no `top_k`
_WITHOUT_TOP_K: Final = ("meta.", "amazon.titan", "openai.")
_NOT_SUPPORTED: Final = "not supported by models on Bedrock"


class Sampling:
    """The members of a request that say how to answer, for a client of another form."""

    def __init__(self, chat: ChatRequest, ignored: list[str]) -> None:
        self._chat = chat
        self._ignored = ignored
        self._maker = maker_of(chat.model)
        self._claude = claude.known(chat.model)
        options = chat.options
        self.inference: dict[str, Any] = {
            name: value
            for neutral, name in INFERENCE_NAMES.items()
            if (value := getattr(options, neutral)) is not None
        }
        #: members of the model's own request
        self.additional: dict[str, Any] = {}
        self.effort: str | None = None
        self._refuse()
        self._clamp()
        self._top_k()
        self._think()
        self._drop_what_claude_refuses()

    def _refuse(self) -> None:
        options = self._chat.options
        if (options.n or 1) > 1:
            raise Unsupported("n", f"n is {_NOT_SUPPORTED}")
        if options.logprobs or options.top_logprobs:
            raise Unsupported("logprobs", f"logprobs is {_NOT_SUPPORTED}")
        for name in ("seed", "presence_penalty", "frequency_penalty"):
            if getattr(options, name):
                self._ignored.append(name)

    def _clamp(self) -> None:
        if self.inference.get("temperature", 0) > 1:
            self.inference["temperature"] = 1.0
            self._ignored.append("temperature above 1")

    def _top_k(self) -> None:
        top_k = self._chat.options.top_k
        if top_k is None:
            return
        if self._maker == "nova":
            self.additional["inferenceConfig"] = {"topK": top_k}
        elif self._maker == "cohere":
            self.additional["k"] = top_k
        elif any(maker in self._chat.model for maker in _WITHOUT_TOP_K):
            self._ignored.append("top_k")
        else:
            self.additional["top_k"] = top_k

    # Thoughts

    def _think(self) -> None:
        if self._claude is not None:
            self._think_as_claude(self._claude)
            return
        effort = self._chat.effort or _effort_for(self._chat.thinking_tokens)
        if effort is None:
            return
        is_off = effort == "none"
        if self._maker == "nova" and is_nova_2(self._chat.model):
            self.additional["reasoningConfig"] = {"type": "disabled"} if is_off else self._nova(effort)
        elif self._maker == "gpt_oss":
            # It cannot be told not to think.
            self.additional["reasoning_effort"] = "low" if is_off else _REDUCED.get(effort, "high")
        elif not is_off:
            self._ignored.append(self._thinking_name)

    def _nova(self, effort: Effort) -> dict[str, Any]:
        """With the high effort neither a limit nor sampling may be set.
        https://docs.aws.amazon.com/nova/latest/nova2-userguide/extended-thinking.html"""
        most = "medium" if self.inference.keys() - {"stopSequences"} else "high"
        return {"type": "enabled", "maxReasoningEffort": _REDUCED.get(effort, most)}

    def _think_as_claude(self, model: claude.Claude) -> None:
        chat, limit = self._chat, self.inference.get("maxTokens")
        thoughts = claude.thoughts(model, chat.effort, chat.thinking_tokens, limit, show=chat.show_thinking)
        thinking = dict(thoughts.thinking or {})
        if thinking.get("type") == "enabled" and (self._is_forced or self._goes_on_without_thoughts()):
            # Claude refuses to think then; what the client forces or has lost weighs more.
            self._ignored.append(self._thinking_name)
            return
        if self._is_forced and not model.can_be_forced:
            raise Unsupported("tool_choice", "tool_choice: this model decides itself whether to call a tool")
        if thoughts.in_vain:
            self._ignored.append(self._thinking_name)
        if thinking:
            self.additional["thinking"] = thinking
        if thoughts.max_tokens is not None:
            self.inference["maxTokens"] = thoughts.max_tokens
        self.effort = thoughts.effort

    @property
    def _thinking_name(self) -> str:
        return "thinking" if self._chat.effort is None else "reasoning_effort"

    @property
    def _is_forced(self) -> bool:
        choice = self._chat.tool_choice
        return choice is not None and choice.mode in ("required", "one")

    def _goes_on_without_thoughts(self) -> bool:
        """Whether the conversation stands after results of calls whose thoughts the client did not keep:
        Claude wants such a turn to begin with them."""
        for message in reversed(self._chat.messages):
            if message.role == "assistant":
                calls = any(isinstance(part, ToolCall) for part in message.parts)
                thoughts = [part for part in message.parts if isinstance(part, Thinking)]
                return calls and not any(part.signature or part.redacted for part in thoughts)
            if message.role == "user":
                return False
        return False

    def _drop_what_claude_refuses(self) -> None:
        if self._claude is None:
            return
        both = "temperature" in self.inference and "topP" in self.inference
        refused: tuple[str, ...] = ()
        if not self._claude.samples or self.additional.get("thinking", {}).get("type") == "enabled":
            refused = ("temperature", "topP", "top_k")
        elif both and not self._claude.samples_by_both:
            refused = ("topP",)
        for name in refused:
            for members in (self.inference, self.additional):
                if members.pop(name, None) is not None:
                    self._ignored.append(_TOLD_AS.get(name, name))


def _effort_for(budget: int | None) -> Effort | None:
    """What a number of tokens to think with stands for."""
    if not budget:
        return None if budget is None else "none"
    return next((effort for most, effort in _EFFORT_UP_TO if budget <= most), "high")
