"""What a client asks for, by the path of its request: which form it speaks, what for, and what the path
tells of the model. Paths are those that the official SDKs send, whatever stands before them."""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from tollhouse.llm.form import NOTHING_TOLD, Told
from tollhouse.llm.formats.bedrock_converse.path import read_path
from tollhouse.llm.provider import FormName

Operation: TypeAlias = Literal[
    "chat",
    "count_tokens",
    "models",
    "completions",
    "embeddings",
    "images",
    "speech",
    "transcriptions",
    "moderations",
    "rerank",
    "generate",
    "invoke",
    "files",
]

#: operations whose answers may be large and are of no interest
UNREAD: Final[frozenset[Operation]] = frozenset({"speech", "files"})


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of request."""

    form: FormName
    operation: Operation
    told: Told = NOTHING_TOLD
    #: the one model that is asked about, where `operation` is `models`; empty for all
    model: str = ""
    #: the end of the path where an operation has several: `/images/edits`, `:embedContent`
    tail: str = ""
    #: as clients of Claude on Vertex ask: without a model in the body, with a version there
    on_vertex: bool = False


_FIXED: Final[tuple[tuple[str, Asked], ...]] = (
    ("/chat/completions", Asked("openai_chat", "chat")),
    ("/responses", Asked("openai_responses", "chat")),
    ("/messages/count_tokens", Asked("anthropic_messages", "count_tokens")),
    ("/messages", Asked("anthropic_messages", "chat")),
    ("/api/chat", Asked("ollama_chat", "chat")),
    ("/v2/chat", Asked("cohere_chat", "chat")),
    ("/api/tags", Asked("ollama_chat", "models")),
    ("/v1beta/models", Asked("gemini", "models")),
    ("/foundation-models", Asked("bedrock_converse", "models")),
    ("/models", Asked("openai_chat", "models")),
    ("/api/generate", Asked("ollama_chat", "generate")),
    ("/api/embed", Asked("ollama_chat", "embeddings", tail="/api/embed")),
    ("/api/embeddings", Asked("ollama_chat", "embeddings", tail="/api/embeddings")),
    ("/v2/embed", Asked("cohere_chat", "embeddings")),
    ("/v2/rerank", Asked("cohere_chat", "rerank")),
    ("/rerank", Asked("openai_chat", "rerank", tail="/rerank")),
    ("/completions", Asked("openai_chat", "completions", tail="/completions")),
    ("/embeddings", Asked("openai_chat", "embeddings", tail="/embeddings")),
    ("/moderations", Asked("openai_chat", "moderations", tail="/moderations")),
    ("/images/generations", Asked("openai_chat", "images", tail="/images/generations")),
    ("/images/edits", Asked("openai_chat", "images", tail="/images/edits")),
    ("/images/variations", Asked("openai_chat", "images", tail="/images/variations")),
    ("/audio/speech", Asked("openai_chat", "speech", tail="/audio/speech")),
    ("/audio/transcriptions", Asked("openai_chat", "transcriptions", tail="/audio/transcriptions")),
    ("/audio/translations", Asked("openai_chat", "transcriptions", tail="/audio/translations")),
)
#: a provider's name may stand before the model's, with a slash that Google's SDK leaves as it is
_GEMINI: Final = re.compile(
    r"(?:^|/)models/(?P<model>[^:].*):(?P<method>generateContent|streamGenerateContent|countTokens"
    r"|embedContent|batchEmbedContents|predict)$"
)
#: https://docs.claude.com/en/api/claude-on-vertex-ai; tokens are counted where a model would stand
_CLAUDE_ON_VERTEX: Final = re.compile(
    r"/publishers/anthropic/models/(?P<model>[^:][^/]*(?:/[^/]+)?):(?P<method>rawPredict|streamRawPredict)$"
)
_COUNTS_ON_VERTEX: Final = "count-tokens"
_ONE_MODEL: Final = re.compile(r"(?P<beta>/v1beta)?/models/(?P<model>.+)$")
_FILES: Final = re.compile(r"(?:^|/)(?:files|batches|uploads)(?:/[^/]+){0,3}$")
_BEDROCK_OPERATIONS: Final[dict[str, Operation]] = {
    "converse": "chat",
    "converse-stream": "chat",
    "invoke": "invoke",
    "invoke-with-response-stream": "invoke",
    "count-tokens": "count_tokens",
}
_GOOGLE_OPERATIONS: Final[dict[str, Operation]] = {
    "countTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
    "predict": "embeddings",
}


def recognised(path: str) -> Asked | None:
    """What a request for that path asks for, `None` if nobody knows."""
    for end, asked in _FIXED:
        if path.endswith(end):
            return asked
    if found := _GEMINI.search(path):
        method = found["method"]
        told = Told(unquote(found["model"]), method == "streamGenerateContent")
        operation = _GOOGLE_OPERATIONS.get(method)
        return Asked("gemini", operation or "chat", told, tail=f":{method}" if operation else "")
    if found := _CLAUDE_ON_VERTEX.search(path):
        return _on_vertex(unquote(found["model"]), streamed=found["method"] == "streamRawPredict")
    if (of_bedrock := read_path(path)) is not None:
        return Asked("bedrock_converse", _BEDROCK_OPERATIONS[of_bedrock.operation], of_bedrock.told)
    if found := _ONE_MODEL.search(path):
        return Asked("gemini" if found["beta"] else "openai_chat", "models", model=unquote(found["model"]))
    if found := _FILES.search(path):
        return Asked("openai_chat", "files", tail="/" + found[0].lstrip("/"))
    return None


def _on_vertex(model: str, *, streamed: bool) -> Asked:
    if model == _COUNTS_ON_VERTEX:
        return Asked("anthropic_messages", "count_tokens", on_vertex=True)
    return Asked("anthropic_messages", "chat", Told(model, streamed), on_vertex=True)
