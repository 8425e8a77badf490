"""How likely the tokens of an answer were, in the shape that OpenAI's forms and Ollama's share. Pure.

https://platform.openai.com/docs/api-reference/chat/object#chat-object-choices-logprobs
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from tollhouse.llm.chat import Likely
from tollhouse.llm.form import MALFORMED

#: a member of at most so many bytes (`null`, `[]`) tells nothing: streams have one in every event
NOTHING_TOLD_BYTES: Final = 4
_Byte = Annotated[int, msgspec.Meta(ge=0, le=255)]


class _Likely(msgspec.Struct, rename={"data": "bytes"}):
    token: str = ""
    logprob: float = 0
    top_logprobs: "list[_Likely] | None" = None
    data: list[_Byte] | None = None

    def likely(self) -> Likely:
        others = tuple(other.likely() for other in self.top_logprobs or ())
        told, written = self.data, self.token.encode()
        data = bytes(told) if told is not None and told != list(written) else None
        return Likely(self.token, self.logprob, others, data)


class _Content(msgspec.Struct):
    content: list[_Likely] | None = None


def likely_in(raw: msgspec.Raw) -> tuple[Likely, ...]:
    """Of an object with the member `content`, or of the list itself; nothing if it is something else, as
    some compatible servers have it: the answer beside it can be read."""
    try:
        read = msgspec.json.decode(raw or b"null", type=_Content | list[_Likely] | None)
    except MALFORMED:
        return ()
    return tuple(one.likely() for one in (read.content if isinstance(read, _Content) else read) or ())


def shown(logprobs: Sequence[Likely]) -> list[dict[str, Any]]:
    """Each with those that could have stood in its place, and itself among them if it was told so."""
    return [_shown(one) | {"top_logprobs": [_shown(other) for other in one.others]} for one in logprobs]


def _shown(one: Likely) -> dict[str, Any]:
    data = one.token.encode() if one.data is None else one.data
    return {"token": one.token, "logprob": one.logprob, "bytes": list(data)}
