"""What a client asks for, by the path of its request: which form it speaks, what for, and what the path
tells of the model. Paths are those that the official SDKs send, whatever stands before them."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from tollhouse.llm.form import NOTHING_TOLD, Told
from tollhouse.llm.provider import FormName

Operation: TypeAlias = Literal["chat", "count_tokens", "models"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of request."""

    form: FormName
    operation: Operation
    told: Told = NOTHING_TOLD
    #: the one model that is asked about, where `operation` is `models`; empty for all
    model: str = ""


_FIXED: Final[tuple[tuple[str, Asked], ...]] = (
    ("/chat/completions", Asked("openai_chat", "chat")),
    ("/responses", Asked("openai_responses", "chat")),
    ("/messages/count_tokens", Asked("anthropic_messages", "count_tokens")),
    ("/messages", Asked("anthropic_messages", "chat")),
    ("/api/chat", Asked("ollama_chat", "chat")),
    ("/v2/chat", Asked("cohere_chat", "chat")),
    ("/api/tags", Asked("ollama_chat", "models")),
    ("/v1beta/models", Asked("gemini", "models")),
    ("/models", Asked("openai_chat", "models")),
)
#: a provider's name may stand before the model's, with a slash that Google's SDK leaves as it is
_GEMINI: Final = re.compile(
    r"(?:^|/)models/(?P<model>[^:].*):(?P<method>generateContent|streamGenerateContent|countTokens)$"
)
_BEDROCK: Final = re.compile(r"(?:^|/)model/(?P<model>.+)/(?P<method>converse|converse-stream)$")
_ONE_MODEL: Final = re.compile(r"/models/(?P<model>.+)$")


def recognised(path: str) -> Asked | None:
    """What a request for that path asks for, `None` if nobody knows."""
    for end, asked in _FIXED:
        if path.endswith(end):
            return asked
    if found := _GEMINI.search(path):
        told = Told(unquote(found["model"]), found["method"] == "streamGenerateContent")
        return Asked("gemini", "count_tokens" if found["method"] == "countTokens" else "chat", told)
    if found := _BEDROCK.search(path):
        told = Told(unquote(found["model"]), found["method"] == "converse-stream")
        return Asked("bedrock_converse", "chat", told)
    if found := _ONE_MODEL.search(path):
        return Asked("openai_chat", "models", model=unquote(found["model"]))
    return None
