"""A request that becomes several at its provider: all but the last are sent beside the exchange, a few at a
time, and their answers kept until its own has come."""

from collections.abc import Sequence
from typing import Final

from tollhouse.errors import Cause, UpstreamFault
from tollhouse.llm.form import Unreadable
from tollhouse.llm.operations.work import Outgoing, Work
from tollhouse.llm.signing.signer import Signer
from tollhouse.pdk import Exchange, Patience
from tollhouse.pdk.http import HttpAnswer, HttpClient
from tollhouse.pdk.tasks import in_turns
from tollhouse.pdk.usage import Usage

#: so many are on their way at the same time
_AT_ONCE: Final = 8
_ANSWER_LIMIT_BYTES: Final = 16 * 1024 * 1024
#: where nobody has set a limit
_LONGEST_SECONDS: Final = 3600.0
#: of a connection, or of another body than what is sent
_NOT_SENT: Final = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("accept-encoding", "content-length", "expect", "host"),
    }
)


class _Request:
    """One of them, as it is sent."""

    def __init__(self, http: HttpClient, ex: Exchange, body: bytes) -> None:
        scheme, host, port = ex.upstream_address or ("", "", 0)
        self._url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{ex.upstream_target or '/'}"
        self._http = http
        self._body = body
        self._timeout_seconds = min((ex.patience or Patience()).total, _LONGEST_SECONDS)
        values = ex.request.headers.values
        self._headers = [(name, value) for name, value in values.items() if name not in _NOT_SENT]
        self._headers.append(("Host", ex.upstream_host or host))

    async def answer(self) -> HttpAnswer:
        """Raises `UpstreamFault`."""
        try:
            return await self._http.request(
                "POST",
                self._url,
                headers=self._headers,
                body=self._body,
                timeout_seconds=self._timeout_seconds,
                limit_bytes=_ANSWER_LIMIT_BYTES,
            )
        except ValueError as error:
            raise UpstreamFault(Cause.NO_TARGET, str(error)) from error


async def ask_others(
    ex: Exchange, out: Outgoing, http: HttpClient, signer: Signer | None
) -> HttpAnswer | None:
    """Asks for all of `out.others`, with the address and the fields of the exchange, and keeps what is
    answered in `out.answers`, in their order. The first that fails ends it, and is returned.

    Raises `UpstreamFault` where there is no answer, and `Refusal` where there is nothing to sign with."""
    requests = [await _signed(ex, body, http, signer) for body in out.others]
    await _signed(ex, out.content, http, signer)
    failed: list[HttpAnswer | UpstreamFault] = []
    answers: dict[int, HttpAnswer] = {}

    async def ask(place: int) -> None:
        if failed:
            return
        try:
            answer = await requests[place].answer()
        except UpstreamFault as fault:
            failed.append(fault)
            return
        if answer.status == 200:
            answers[place] = answer
        else:
            failed.append(answer)

    try:
        await in_turns(_AT_ONCE, ask, range(len(requests)))
    finally:  # also where the client has gone
        out.answers = [(answers[place].body, answers[place].headers) for place in sorted(answers)]
    return _first_of(failed)


def used_by_others(work: Work, out: Outgoing) -> Usage | None:
    """What those used that were answered, where the exchange's own request was not."""
    *rest, (content, headers) = out.answers
    out.answers = rest
    try:
        return work.answer(content, headers, out).usage
    except Unreadable:
        return None


def _first_of(failed: Sequence[HttpAnswer | UpstreamFault]) -> HttpAnswer | None:
    """Raises the fault if that came first."""
    for one in failed:
        if isinstance(one, UpstreamFault):
            raise one
        return one
    return None


async def _signed(ex: Exchange, body: bytes, http: HttpClient, signer: Signer | None) -> _Request:
    """The exchange's request with another body."""
    ex.request.replace_content(body)
    waiting = None if signer is None else signer.sign(ex)
    if waiting is not None:
        await waiting
    return _Request(http, ex, body)
