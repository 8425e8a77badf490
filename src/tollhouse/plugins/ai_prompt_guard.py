"""ai-prompt-guard: lets prompts through or not, by regular expressions.

Denying patterns are looked at first. Where allowing ones are given, one of them has to match.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import re2  # type: ignore[import-untyped]

from tollhouse.llm import prompts
from tollhouse.model.checks import AtLeastOneOf, Conditional
from tollhouse.model.regex import compiled
from tollhouse.pdk import Exchange, Plugin, Reject, item, setting

_PATTERN = item(len_min=1, len_max=500)

log = logging.getLogger("tollhouse.plugins")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    allow_patterns: tuple[str, ...] | None = setting(
        None, required=False, len_max=10, items=_PATTERN, doc="One of these has to match, if any are given."
    )
    deny_patterns: tuple[str, ...] | None = setting(
        None, required=False, len_max=10, items=_PATTERN, doc="None of these may match."
    )
    allow_all_conversation_history: bool = setting(
        False, required=True, doc="Look at the newest message alone."
    )
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is read; the default stands for 1 MiB."
    )
    match_all_roles: bool = setting(
        False, required=True, doc="Look at every role's messages, not only users'."
    )
    llm_format: prompts.Form = setting("openai", required=False, doc="The form that clients speak.")

    CHECKS = (
        AtLeastOneOf("config.allow_patterns", "config.deny_patterns"),
        Conditional(
            "config.match_all_roles", {"eq": True}, "config.allow_all_conversation_history", {"eq": False}
        ),
    )


class AiPromptGuard(Plugin[Config]):
    name = "ai-prompt-guard"
    priority = 771
    Config = Config

    def prepare(self) -> None:
        self._deny = _compiled(self.conf.deny_patterns or ())
        self._allow = _compiled(self.conf.allow_patterns or ())
        self.request_body_limit = prompts.body_limit(self.conf.max_request_body_size)

    def access(self, ex: Exchange) -> None:
        text = self._text(prompts.read(ex.request.content))
        if text is None or any(matches(text) for matches in self._deny):
            raise _bad_request()
        if self._allow and not any(matches(text) for matches in self._allow):
            raise _bad_request()

    def _text(self, body: dict[str, object]) -> str | None:
        """What is looked at, newest first; `None` if some of it is no text."""
        form = self.conf.llm_format
        found = prompts.messages(body, form)
        if found is None:
            prompt = body.get("prompt")
            if not isinstance(prompt, str):
                raise prompts.refused("request body doesn't contain valid prompts")
            return prompt
        if form == "openai" and not all(isinstance(one.get("role"), str) for one in found):
            return None
        chosen = [one for one in found if self.conf.match_all_roles or one.get("role", "user") == "user"]
        if self.conf.allow_all_conversation_history:
            chosen = chosen[-1:]
        texts = [prompts.text_of(message, form) for message in reversed(chosen)]
        return None if None in texts else " ".join(text for text in texts if text)


def _bad_request() -> Reject:
    return prompts.refused("bad request")


def _compiled(patterns: Sequence[str]) -> tuple[Callable[[str], object], ...]:
    """Whether a text holds each pattern. RE2 takes time in proportion to a text's length whatever it is;
    only patterns that it does not know are Python's."""
    options = re2.Options()
    options.log_errors = False
    found: list[Callable[[str], object]] = []
    for pattern in patterns:
        try:
            found.append(re2.compile(pattern, options).search)
        except re2.error:
            found.append(_slower(pattern))
    return tuple(found)


def _slower(pattern: str) -> Callable[[str], object]:
    """As Kong has it, a pattern that is none is taken, and is an error as soon as a prompt gets to it: who
    cannot say what is allowed lets nothing through."""
    try:
        return compiled(pattern).search
    except ValueError as error:
        log.error("ai-prompt-guard: '%s' is no regular expression: %s", pattern, error)

    def fail(_: str) -> object:
        raise Reject(500)

    return fail
