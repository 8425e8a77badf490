"""How many tokens a request has, for clients that ask before they send it: an estimate by its words."""

from typing import Any

from tollhouse.llm.form import Refusal, Told
from tollhouse.llm.formats.anthropic_messages import count as anthropic
from tollhouse.llm.formats.gemini import count as gemini
from tollhouse.llm.provider import FormName


def counted_tokens(form: FormName, body: bytes, told: Told) -> dict[str, Any]:
    """The answer in the client's form. Raises `Refusal`."""
    if form == "gemini":
        return gemini.encode_count(anthropic.estimate(gemini.decode_count_request(body, told)))
    if form == "anthropic_messages":
        return anthropic.encode_count_response(anthropic.estimate(anthropic.decode_count_request(body, told)))
    raise Refusal("tokens are counted for Anthropic's and Gemini's clients only")
