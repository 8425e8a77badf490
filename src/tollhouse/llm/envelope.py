"""Errors on the way to a client, in the envelope of the form that it speaks: the provider's, and the
gateway's own."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Chat, Failed, Finish, Start, Trouble
from tollhouse.llm.dialogue import name_of
from tollhouse.llm.form import MALFORMED, Form, Problem, Refusal, seconds_in, shown_seconds
from tollhouse.llm.trouble import short, trouble_of
from tollhouse.pdk import Exchange, Reject, Response
from tollhouse.pdk.http import HttpAnswer
from tollhouse.pdk.usage import Usage

_JSON: Final = "application/json"
#: what the gateway's own statuses mean; an upstream that is away is not the client's fault
_OWN: Final[Mapping[int, Trouble]] = {
    400: "invalid_request",
    401: "auth",
    403: "permission",
    404: "not_found",
    405: "invalid_request",
    411: "invalid_request",
    413: "too_large",
    429: "rate_limit",
    500: "upstream_error",
    502: "upstream_error",
    503: "overloaded",
    504: "timeout",
}
#: what providers say of a key may show pieces of it, or whose account it is of
_KEY_REFUSED: Final = "the provider refused the gateway's credentials"
_NO_API: Final = "the provider answered {} with something that is no API's answer"

log = logging.getLogger("tollhouse.llm")

#: forms that have no error for it; Google's has one for answers that are not streamed
_ANSWERS_BLOCKED: Final = ("anthropic_messages", "bedrock_converse")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client waits for. Some forms answer a prompt that was blocked, in place of an error."""

    model: str = ""
    id: str = ""
    streamed: bool = False
    #: it has brought its own key
    own_key: bool = False


_ANYTHING: Final = Wanted()


class Envelope:
    """Writes errors for clients of one form."""

    def __init__(self, client: Form, provider: Form, *, kongs: bool) -> None:
        """`kongs`: clients speak OpenAI's form, where errors keep what Kong says of them beside."""
        self._client = client
        self._provider = provider
        self._kongs = kongs
        self._answers_blocked = name_of(client) in _ANSWERS_BLOCKED

    def reject(self, refusal: Refusal) -> Reject:
        """The answer to a request that is not sent on."""
        if self._kongs:
            return Reject(refusal.status, body={"error": {"message": refusal.message}})
        trouble = _OWN.get(refusal.status, "invalid_request")
        answer = self._client.encode_error(Problem(trouble, refusal.message))
        headers = {"Content-Type": _JSON, **answer.headers}
        return Reject(answer.status, body=answer.body.decode(), headers=headers)

    def refused(self, answer: HttpAnswer) -> Reject:
        """The answer where a provider failed at something that the gateway asked for itself."""
        problem = self._problem(answer.status, answer.body, answer.headers)
        shown = self._client.encode_error(problem)
        headers = {"Content-Type": _JSON, **shown.headers}
        if problem.retry_after is not None:
            headers["Retry-After"] = shown_seconds(problem.retry_after)
        return Reject(shown.status, body=shown.body.decode(), headers=headers)

    def failed(self, failed: Failed) -> Reject:
        """The answer where a stream has failed of which the client has seen nothing yet."""
        answer = self._client.encode_error(Problem(failed.trouble, failed.message))
        headers = {"Content-Type": _JSON, **answer.headers}
        return Reject(answer.status, body=answer.body.decode(), headers=headers)

    def own(self, ex: Exchange, response: Response) -> None:
        """Puts an answer of the gateway, of whatever plugin, into the envelope unless it is in it."""
        told = _told(response.content or b"")
        if response.status < 400 or told is None or "error" in told or told.get("type") == "error":
            return
        message = str(told.get("message", f"the gateway answered {response.status}"))
        trouble = _OWN.get(response.status, "upstream_error")
        told_early = [fields.values for fields in ex.early_headers]
        waits = map(seconds_in, (response.headers.values, *told_early))
        wait = next((seconds for seconds in waits if seconds is not None), None)
        answer = self._client.encode_error(Problem(trouble, message, retry_after=wait))
        content = answer.body
        if self._kongs:
            content = msgspec.json.encode({**told, **msgspec.json.decode(answer.body)})
        else:
            response.status, response.line = answer.status, b""
        response.content = content
        response.headers.set("Content-Type", _JSON)
        for name, value in answer.headers.items():
            response.headers.set(name, value)

    def unusable(self, response: Response, message: str) -> None:
        """The provider's answer is not what its form promises."""
        answer = self._client.encode_error(Problem("upstream_error", message))
        status, content = answer.status, answer.body
        if self._kongs:
            status, content = 500, msgspec.json.encode({"error": {"message": message}})
        self._put_head(response, status, answer.headers)
        response.content = content

    def head(self, response: Response) -> None:
        """The provider failed and its reason has not come yet: the status must do without it."""
        answer = self._client.encode_error(Problem(trouble_of(response.status, ""), ""))
        self._put_head(response, answer.status, answer.headers)

    def whole(self, response: Response, content: bytes, wanted: Wanted = _ANYTHING) -> None:
        """The provider failed, and this is what it said."""
        problem = self._problem(response.status, content, response.headers.values, own_key=wanted.own_key)
        answers_stream = wanted.streamed and name_of(self._client) == "gemini"
        if problem.trouble == "content_filter" and (self._answers_blocked or answers_stream):
            self._put_head(response, 200, {})
            if wanted.streamed:
                response.headers.set("Content-Type", self._client.STREAM_TYPE)
            response.content = self._blocked(wanted)
            return
        answer = self._client.encode_error(problem)
        if problem.retry_after is not None:
            response.headers.set("Retry-After", shown_seconds(problem.retry_after))
        self._put_head(response, answer.status, answer.headers)
        response.content = answer.body

    def _blocked(self, wanted: Wanted) -> bytes:
        usage = Usage(0, 0)
        if not wanted.streamed:
            chat = Chat(model=wanted.model, id=wanted.id, parts=(), reason="content_filter", usage=usage)
            return msgspec.json.encode(self._client.encode_response(chat))
        encoder = self._client.stream_encoder(include_usage=True)
        start, finish = Start(wanted.model, wanted.id), Finish("content_filter", usage)
        return encoder.encode(start) + encoder.encode(finish)

    def rest(self, ex: Exchange, content: bytes, wanted: Wanted = _ANYTHING) -> bytes:
        """The body of an error whose head was made before it came. If that has not gone yet, it is made
        anew: only the body of some tells when to come again, or that the key was refused."""
        response = ex.response
        if response is None or not ex.holds_head:
            problem = self._problem(ex.upstream_status, content, {}, own_key=wanted.own_key)
            return self._client.encode_error(problem).body
        response.status = ex.upstream_status
        self.whole(response, content, wanted)
        body, response.content = response.content or b"", None
        return body

    def _problem(
        self, status: int, content: bytes, headers: Mapping[str, str], *, own_key: bool = False
    ) -> Problem:
        """What the provider said, as far as it is the client's business; the log has the rest."""
        if content and not _is_json(content):
            log.warning("a provider answered %d: %s", status, short(content))
            if status >= 500:  # of whatever stands before the provider
                return Problem("upstream_error", _NO_API.format(status), 502, retry_after=seconds_in(headers))
        problem = self._provider.decode_error(status, content, headers)
        if problem.trouble == "upstream_auth" and own_key:
            return replace(problem, trouble="auth")
        if problem.trouble == "upstream_auth":
            log.warning("a provider refused the key: %s", short(content))
            return replace(problem, message=_KEY_REFUSED, code=None, param=None)
        if problem.message.startswith("<"):
            return replace(problem, message=_NO_API.format(status))
        return problem

    def _put_head(self, response: Response, status: int, headers: Mapping[str, str]) -> None:
        response.status, response.line = status, b""
        for name in ("content-encoding", "content-length"):
            response.headers.remove(name)
        response.headers.set("Content-Type", _JSON)
        for name, value in headers.items():
            response.headers.set(name, value)


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content)
    except MALFORMED:
        return False
    return True


def _told(content: bytes) -> dict[str, Any] | None:
    """The members of an answer, `None` if it is nothing that a client of an API would read."""
    try:
        told = msgspec.json.decode(content)
    except MALFORMED:
        return {"message": " ".join(content[:300].decode("utf-8", "replace").split())} if content else {}
    return told if isinstance(told, dict) else None
