"""ai-fault-injection: answers chats by itself, and lets something go wrong, to drill clients.

Tollhouse's own. No model is asked and nothing is billed. Whole answers and streams are in the form that the
client speaks, known by the path, else by `llm_format`.
"""

from dataclasses import dataclass
from typing import Final, get_args

from tollhouse.llm import settings
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.drill import BROKEN, Drill, Fault, asked_with
from tollhouse.llm.envelope import Envelope
from tollhouse.llm.form import NOTHING_TOLD, Problem, Refusal
from tollhouse.llm.provider import FormName
from tollhouse.llm.recognise import recognised
from tollhouse.pdk import Exchange, OwnStream, Plugin, Reject, setting

_FAULTS: Final[tuple[Fault, ...]] = get_args(Fault)
_JSON: Final = "application/json"
_BODY_BYTES: Final = 8 * 1024 * 1024
_MODEL: Final = "drill"
_TEXT: Final = "This answer was made by the gateway to drill its clients; no model has written it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    fault: Fault = setting("none", required=False, doc="What goes wrong unless the request names it.")
    header_name: str | None = setting(
        "X-Tollhouse-Fault", required=False, doc="Request header that names the fault; null: none does."
    )
    llm_format: settings.ClientFormat = setting(
        "openai", required=False, doc="The form of clients, where the path does not tell."
    )
    text: str = setting(_TEXT, required=False, len_min=1, doc="What answers say, word by word.")
    delay: int = setting(0, required=False, between=(0, 60_000), unit="ms", doc="Before each piece.")
    slow_delay: int = setting(
        500, required=False, between=(1, 60_000), unit="ms", doc="Before each piece of a `slow` answer."
    )
    silence: int = setting(
        600,
        required=False,
        between=(1, 86_400),
        unit="s",
        doc="How long a `stall` lasts before it is cut off.",
    )
    retry_after: int = setting(
        1, required=False, between=(0, 86_400), unit="s", doc="What a `429` tells in Retry-After."
    )


class AiFaultInjection(Plugin[Config]):
    name = "ai-fault-injection"
    priority = 770
    Config = Config
    request_body_limit = _BODY_BYTES

    def prepare(self) -> None:
        conf = self.conf
        self._header = (conf.header_name or "").lower()
        self._drills = {
            fault: Drill(fault, conf.text, conf.delay / 1000, conf.slow_delay / 1000, conf.silence)
            for fault in _FAULTS
        }
        self._usual_form = settings.client_form(conf.llm_format, "llm/v1/chat")

    def access(self, ex: Exchange) -> None:
        asked = recognised(ex.request.path)
        told = NOTHING_TOLD
        name: FormName = self._usual_form
        if asked is not None and asked.operation == "chat":
            name, told = asked.form, asked.told
        form = FORMS[name]
        try:
            drill = self._drill(ex)
            chat = asked_with(form.decode_request(ex.request.content or b"", told), _MODEL)
        except Refusal as refusal:
            raise Envelope(form, form, kongs=False).reject(refusal) from None
        if drill.fault == "429":
            raise self._problem(name, Problem("rate_limit", "drilled: too many requests", 429))
        if drill.fault == "error" and not chat.stream:
            raise self._problem(name, Problem("upstream_error", BROKEN, 500))
        made = drill.streamed if chat.stream else drill.whole
        pieces = made(form, chat, f"drill-{ex.request_id}", int(self.services.wall_clock()))
        kind = form.STREAM_TYPE if chat.stream else _JSON
        ex.own_stream = OwnStream(200, kind, pieces, is_cut=drill.is_cut)

    def _drill(self, ex: Exchange) -> Drill:
        named = ex.request.headers.values.get(self._header, self.conf.fault) if self._header else None
        for fault in _FAULTS:
            if fault == (named or self.conf.fault):
                return self._drills[fault]
        raise Refusal(f"{self.conf.header_name}: expected one of {', '.join(_FAULTS)}")

    def _problem(self, name: FormName, problem: Problem) -> Reject:
        answer = FORMS[name].encode_error(problem)
        headers = {"Content-Type": _JSON, **answer.headers}
        if problem.trouble == "rate_limit":
            headers["Retry-After"] = str(self.conf.retry_after)
        return Reject(answer.status, body=answer.body.decode(), headers=headers)
