"""Reranking between a client's form and a provider's.

All forms are Cohere's, or nearly: compatible servers tell tokens where Cohere tells search units, and
Bedrock's models are called by InvokeModel. https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec

from tollhouse.llm.dialogue import Got, Reader
from tollhouse.llm.formats.cohere_chat import rerank
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.operations.places import Wire
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import Asked

#: members that Bedrock's models know beside question and documents
_BEDROCK_EXTRA: Final = frozenset({"max_tokens_per_doc"})
#: the version of Cohere's form that its models on Bedrock ask for
_COHERE_VERSION: Final = 2


class RerankTranslation:
    def __init__(self, client: FormName, wire: Wire) -> None:
        self._for_cohere = client == "cohere_chat"
        self._wire = wire

    def request(self, body: Body, asked: Asked, model: str, *, stream: bool) -> Outgoing:
        wanted = replace(rerank.decode_request(body.bytes_with(model)), model=model)
        ignored: tuple[str, ...] = ()
        encoded = rerank.encode_request(wanted)
        if self._wire == "bedrock":
            ignored = tuple(name for name in wanted.extra if name not in _BEDROCK_EXTRA)
            encoded = {name: value for name, value in encoded.items() if name not in {"model", *ignored}}
            if "cohere." in model:
                encoded["api_version"] = _COHERE_VERSION
        return Outgoing(msgspec.json.encode(encoded), ignored=ignored, asked=wanted, model=model)

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        found = rerank.decode_response(content)
        told, model = usage_told(content, headers, self._wire)
        usage = found.usage or told
        shown: dict[str, Any] = rerank.encode_response(replace(found, usage=usage))
        if not self._for_cohere:
            shown["model"] = model or out.model
            if usage is not None:
                shown["usage"] = {"total_tokens": usage.total_tokens}
        return Got(msgspec.json.encode(shown), model or out.model, usage)

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        return None
