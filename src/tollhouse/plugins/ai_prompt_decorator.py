"""ai-prompt-decorator: puts messages before and behind those of a chat."""

from dataclasses import dataclass

import msgspec

from tollhouse.llm.prompts import Form, Role, body_limit, decorate, messages, read, refused
from tollhouse.model.checks import AtLeastOneOf
from tollhouse.pdk import Exchange, Plugin, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    role: Role = setting("system", required=True, doc="Who says it.")
    content: str = setting(required=True, len_min=1, len_max=500, doc="What is said.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompts:
    prepend: tuple[Message, ...] | None = setting(
        None, required=False, len_max=15, doc="Messages before those of the client."
    )
    append: tuple[Message, ...] | None = setting(
        None, required=False, len_max=15, doc="Messages behind those of the client."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    prompts: Prompts | None = setting(None, required=False, doc="The messages.")
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is read; the default stands for 1 MiB."
    )
    llm_format: Form = setting("openai", required=False, doc="The form that clients speak.")

    CHECKS = (AtLeastOneOf("config.prompts.prepend", "config.prompts.append"),)


class AiPromptDecorator(Plugin[Config]):
    name = "ai-prompt-decorator"
    priority = 772
    Config = Config

    def prepare(self) -> None:
        given = self.conf.prompts or Prompts()
        self._before = [(message.role, message.content) for message in given.prepend or ()]
        self._behind = [(message.role, message.content) for message in given.append or ()]
        self.request_body_limit = body_limit(self.conf.max_request_body_size)

    def access(self, ex: Exchange) -> None:
        body, form = read(ex.request.content), self.conf.llm_format
        if messages(body, form) is None:
            raise refused("this LLM route only supports llm/chat type requests")
        decorate(body, form, self._before, self._behind)
        ex.request.replace_content(msgspec.json.encode(body))
