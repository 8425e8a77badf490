"""Errors on the way to a client, in the envelope of the form that it speaks: the provider's, and the
gateway's own."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, Form, Problem, Refusal
from tollhouse.llm.trouble import trouble_of
from tollhouse.pdk import Exchange, Reject, Response
from tollhouse.pdk.http import HttpAnswer

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


class Envelope:
    """Writes errors for clients of one form."""

    def __init__(self, client: Form, provider: Form, *, kongs: bool) -> None:
        """`kongs`: clients speak OpenAI's form, where errors keep what Kong says of them beside."""
        self._client = client
        self._provider = provider
        self._kongs = kongs

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
        problem = self._provider.decode_error(answer.status, answer.body, answer.headers)
        shown = self._client.encode_error(problem)
        headers = {"Content-Type": _JSON, **shown.headers}
        if problem.retry_after is not None:
            headers["Retry-After"] = f"{problem.retry_after:g}"
        return Reject(shown.status, body=shown.body.decode(), headers=headers)

    def own(self, response: Response) -> None:
        """Puts an answer of the gateway, of whatever plugin, into the envelope unless it is in it."""
        told = _told(response.content or b"")
        if response.status < 400 or told is None or "error" in told or told.get("type") == "error":
            return
        message = str(told.get("message", f"the gateway answered {response.status}"))
        trouble = _OWN.get(response.status, "upstream_error")
        answer = self._client.encode_error(Problem(trouble, message))
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

    def whole(self, response: Response, content: bytes) -> None:
        """The provider failed, and this is what it said."""
        problem = self._provider.decode_error(response.status, content, response.headers.values)
        answer = self._client.encode_error(problem)
        if problem.retry_after is not None:
            response.headers.set("Retry-After", f"{problem.retry_after:g}")
        self._put_head(response, answer.status, answer.headers)
        response.content = answer.body

    def rest(self, ex: Exchange, content: bytes) -> bytes:
        """The body of an error whose head was made before it came. If that has not gone yet, it is made
        anew: only the body of some tells when to come again, or that the key was refused."""
        response = ex.response
        if response is None or not ex.holds_head:
            return self._client.encode_error(
                self._provider.decode_error(ex.upstream_status, content, {})
            ).body
        response.status = ex.upstream_status
        self.whole(response, content)
        body, response.content = response.content or b"", None
        return body

    def _put_head(self, response: Response, status: int, headers: Mapping[str, str]) -> None:
        response.status, response.line = status, b""
        for name in ("content-encoding", "content-length"):
            response.headers.remove(name)
        response.headers.set("Content-Type", _JSON)
        for name, value in headers.items():
            response.headers.set(name, value)


def _told(content: bytes) -> dict[str, Any] | None:
    """The members of an answer, `None` if it is nothing that a client of an API would read."""
    try:
        told = msgspec.json.decode(content)
    except MALFORMED:
        return {"message": " ".join(content[:300].decode("utf-8", "replace").split())} if content else {}
    return told if isinstance(told, dict) else None
