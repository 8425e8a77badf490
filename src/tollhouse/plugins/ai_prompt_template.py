"""ai-prompt-template: clients name a template and what to fill it with, in place of a prompt of their own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tollhouse.llm import prompts
from tollhouse.model.lua import kind_name
from tollhouse.pdk import Exchange, Plugin, setting
from tollhouse.pdk.log_fields import LogFields

_REFERENCE: Final = re.compile(r"\{template://([^}]+)\}")
_PLACE: Final = re.compile(r"\{\{([^}]+)\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    name: str = setting(required=True, doc="By which clients name it.")
    template: str = setting(
        required=True, doc="A request's body, with `{{name}}` where something is filled in."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    templates: tuple[Template, ...] = setting(required=True, doc="The templates.")
    allow_untemplated_requests: bool = setting(
        True, required=True, doc="Let requests through that name no template."
    )
    log_original_request: bool = setting(
        False,
        required=True,
        doc="Put what the client sent into log records, as `ai.payload.original_request`.",
    )
    max_request_body_size: int = setting(
        8192, gt=0, unit="B", doc="Largest request that is read; the default stands for 1 MiB."
    )


class AiPromptTemplate(Plugin[Config]):
    name = "ai-prompt-template"
    priority = 773
    Config = Config

    def prepare(self) -> None:
        self._templates = {entry.name: entry.template for entry in self.conf.templates}
        self.request_body_limit = prompts.body_limit(self.conf.max_request_body_size)

    def access(self, ex: Exchange) -> None:
        request = ex.request
        if request.media_type != "application/json":
            raise prompts.refused("this LLM route only supports application/json requests")
        body = prompts.read(request.content)
        if self.conf.log_original_request:
            ex.slot(LogFields).put("ai.payload.original_request", (request.content or b"").decode())
        name = self._reference(body)
        if name is not None:
            request.replace_content(self._rendered(name, body.get("properties") or {}).encode())

    def _reference(self, body: Mapping[str, Any]) -> str | None:
        """The template that is named, `None` if none is and none has to be."""
        given = [body[name] for name in ("messages", "prompt") if body.get(name) is not None]
        if len(given) > 1:
            raise prompts.refused("cannot run 'messages' and 'prompt' templates at the same time")
        if not given:
            raise prompts.refused(
                "only 'llm/v1/chat' and 'llm/v1/completions' formats are supported for templating"
            )
        found = _REFERENCE.fullmatch(given[0]) if isinstance(given[0], str) else None
        if found is None and not self.conf.allow_untemplated_requests:
            raise prompts.refused("this LLM route only supports templated requests")
        return found[1] if found is not None else None

    def _rendered(self, name: str, properties: Mapping[str, Any]) -> str:
        template = self._templates.get(name)
        if template is None:
            raise prompts.refused(f"could not find template name [{name}]")
        for value in properties.values():
            if not isinstance(value, str):
                raise prompts.refused(f"property values must be a string, got {kind_name(value)}")
        missing = dict.fromkeys(place for place in _PLACE.findall(template) if place not in properties)
        if missing:
            listed = ", ".join(f"[{place}]" for place in missing)
            raise prompts.refused(f"missing template parameters: {listed}")
        escaped = {key: msgspec.json.encode(value)[1:-1].decode() for key, value in properties.items()}
        return _PLACE.sub(lambda found: escaped[found[1]], template)
