"""Completions of text as an operation, of a provider that only chats."""

from collections.abc import Mapping

from tollhouse.llm.completing import Completing
from tollhouse.llm.dialogue import FORMS, Dialogue, Got, Reader, Sent
from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import NOTHING_TOLD, Refusal
from tollhouse.llm.formats.openai_chat.forward import NO_PROMPTS
from tollhouse.llm.on_vertex import OnVertex
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.provider import FormName, Provider
from tollhouse.llm.recognise import Asked
from tollhouse.llm.settings import Options


class CompletionTranslation:
    """Completions towards the client, chats of a form towards the provider."""

    def __init__(self, form: FormName, provider: Provider, *, drops: bool, on_vertex: bool) -> None:
        """The operator's options are in the request by then. `drops`: what a chat or `form` cannot express is
        left out in place of being refused. `on_vertex`: Anthropic's form as Google wants it."""
        dialect = provider if form == "openai_chat" else None
        completing = Completing(FORMS[form], dialect, Fixed("openai_chat", Options()), drops=drops)
        self._dialogue: Dialogue = OnVertex(completing) if on_vertex else completing

    def request(self, body: Body, asked: Asked, model: str, *, stream: bool) -> Outgoing:
        if body.members is None:
            raise Refusal(NO_PROMPTS)
        sent = self._dialogue.request(body.members, NOTHING_TOLD, model=model, stream=stream)
        return Outgoing(
            sent.content,
            ignored=sent.ignored,
            dropped=sent.dropped,
            asked=sent if stream else None,
            model=model,
            stream_type=self._dialogue.stream_type or "",
        )

    def answer(self, content: bytes, headers: Mapping[str, str], out: Outgoing) -> Got:
        return self._dialogue.answer(content, Sent(content, model=out.model), out.id, out.at)

    def stream(self, content_type: str, out: Outgoing) -> Reader | None:
        if not isinstance(out.asked, Sent) or content_type.startswith("application/json"):
            return None
        return self._dialogue.stream(out.asked, out.id, out.at, keep_text=False)
