"""tollhouse conform: asks a provider for the same whole and streamed, and compares in every client's form."""

import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import click
import msgspec

from tollhouse.cli.output import fail, say
from tollhouse.llm.chat import Delta
from tollhouse.llm.conformity import (
    CASES,
    FORM_NAMES,
    Case,
    Said,
    deltas_of,
    difference,
    request_of,
    said_in,
    said_streamed,
    through,
)
from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Refusal, Unreadable
from tollhouse.llm.provider import MODEL, REGION, Provider
from tollhouse.llm.providers import PROVIDERS
from tollhouse.llm.translation import spoken
from tollhouse.replay.recordings import NoRecording, Recording, read_all

_SECONDS: Final = 300.0
_LARGEST_BYTES: Final = 64 * 1024 * 1024
_WIDTH: Final = 20
#: forms by the names that clients know
_COLUMNS: Final = {
    "openai_chat": "openai",
    "openai_responses": "responses",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
    "bedrock_converse": "bedrock",
    "ollama_chat": "ollama",
    "cohere_chat": "cohere",
}
_HEADS: Final = ("whole", "streamed", *(_COLUMNS[name] for name in FORM_NAMES))
_OK, _WRONG, _NOT_SHOWN = "ok", "WRONG", "-"


@dataclass(slots=True)
class _Table:
    #: by case and column; what is not ok has a reason in `notes`
    cells: dict[tuple[str, str], str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, case: Case, column: str, reason: str) -> None:
        """A reason why not, or none. What was wrong once stays wrong."""
        if reason:
            self.cells[case, column] = _WRONG
            self.notes.append(f"{case}, {column}: {reason}")
        else:
            self.cells.setdefault((case, column), _OK)

    def put_forms(self, case: Case, deltas: Sequence[Delta]) -> None:
        for name in FORM_NAMES:
            self.put(case, _COLUMNS[name], through(FORMS[name], deltas))

    def show(self) -> None:
        say(" " * _WIDTH + "".join(f"{head:<11}" for head in _HEADS).rstrip())
        for case in CASES:
            cells = (self.cells.get((case, head), _NOT_SHOWN) for head in _HEADS)
            say(f"{case:<{_WIDTH}}" + "".join(f"{cell:<11}" for cell in cells).rstrip())
        for note in self.notes:
            say(f"\n{note}")


class _NoAnswer(Exception):
    """The provider cannot be asked, or answers with an error."""


@dataclass(frozen=True, slots=True)
class _Live:
    provider: Provider
    base_url: str
    model: str
    key: str

    def ask(self, case: Case, *, stream: bool) -> bytes:
        """Raises `_NoAnswer`, `Refusal`."""
        provider = self.provider
        body = FORMS[provider.form].encode_request(request_of(case, self.model, stream=stream), [])
        if provider.form == "openai_chat":
            spoken(body, provider)
        path = provider.stream_path if stream and provider.stream_path else provider.chat_path
        url = self.base_url.rstrip("/") + path.replace(MODEL, quote(self.model, safe="@"))
        headers = {"Content-Type": "application/json", **dict(provider.headers)}
        if self.key and provider.key is not None:
            name, value = provider.key(self.key)
            headers[name] = value
        request = urllib.request.Request(url, msgspec.json.encode(body), headers)  # noqa: S310 - checked
        return self._sent(request)

    def _sent(self, request: urllib.request.Request) -> bytes:
        form = FORMS[self.provider.form]
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
                content: bytes = answer.read(_LARGEST_BYTES)
                return content
        except urllib.error.HTTPError as error:
            with error:
                problem = form.decode_error(error.code, error.read(_LARGEST_BYTES), {})
            raise _NoAnswer(f"{error.code}: {problem.message}") from None
        except (OSError, ValueError) as error:
            raise _NoAnswer(f"{request.full_url}: {error}") from None


@click.command("conform")
@click.option("--provider", "name", required=True, type=click.Choice(sorted(PROVIDERS)), help="Whom to ask.")
@click.option("--base-url", help="Its address in place of the usual, without /v1.")
@click.option("--model", help="The model; by default a small one of the provider's.")
@click.option("--key-env", metavar="NAME", help="The environment variable that holds its key.")
@click.option(
    "--recordings",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Judge recorded streams (files or folders) and ask nobody.",
)
def command(
    name: str, base_url: str | None, model: str | None, key_env: str | None, recordings: tuple[Path, ...]
) -> None:
    """Compare what a provider answers whole and streamed: text, one tool, parallel tools, text and tool,
    thinking and tool.

    `whole` and `streamed` say whether the provider's two answers were read and make the same calls; the
    columns after them whether a client of that form gets the streamed answer with the same words, calls,
    reason and usage as if it had not been streamed. `-`: the model gave no such answer. Ten small calls are
    made, which cost money at a live provider. Ends with 1 if anything is wrong.
    """
    provider = PROVIDERS[name]
    table = _Table()
    if recordings:
        _judge_recorded(table, name, recordings)
    else:
        _judge_live(table, _live(provider, base_url, model, key_env))
    table.show()
    if table.notes:
        fail(f"{len(table.notes)} of {len(table.cells)} comparisons are wrong")


def _live(provider: Provider, base_url: str | None, model: str | None, key_env: str | None) -> _Live:
    base = base_url or (provider.base_url or "").replace(REGION, os.environ.get("AWS_REGION", "us-east-1"))
    if not base.startswith(("http://", "https://")):
        fail(f"where is {provider.name}? Tell --base-url https://…")
    if not (model or provider.usual_model):
        fail("which model? Tell --model")
    variables = (key_env,) if key_env else (*provider.key_variables, *_BEARER.get(provider.name, ()))
    key = next((os.environ[each] for each in variables if os.environ.get(each)), "")
    if not key and provider.key is not None and base_url is None:
        fail(f"set {' or '.join(variables) or 'a key, and name its variable with --key-env'}")
    say(f"{provider.name}, {model or provider.usual_model} at {base}\n")
    return _Live(provider, base, model or provider.usual_model, key)


#: keys that can be sent as they are, where the provider's SDK signs with others
_BEARER: Final = {"bedrock": ("AWS_BEARER_TOKEN_BEDROCK",)}


def _judge_live(table: _Table, live: _Live) -> None:
    form = FORMS[live.provider.form]
    for case in CASES:
        try:
            whole = said_in(form.decode_response(live.ask(case, stream=False)))
            table.put(case, "whole", _unusable(whole))
            deltas = deltas_of(form, [live.ask(case, stream=True)])
        except (_NoAnswer, Refusal, Unreadable) as error:
            table.put(case, "streamed" if (case, "whole") in table.cells else "whole", str(error))
            continue
        streamed = said_streamed(deltas)
        table.put(case, "streamed", difference(whole, streamed, same_words=False))
        if not streamed.failed:
            table.put_forms(case, deltas)


def _unusable(said: Said) -> str:
    return "" if said.case is not None else "the answer has neither text nor calls"


def _judge_recorded(table: _Table, name: str, paths: tuple[Path, ...]) -> None:
    try:
        found = [stored for stored in read_all(paths) if stored.streamed and _is_of(stored, name)]
    except NoRecording as error:
        fail(str(error))
    if not found:
        fail(f"there is no recorded stream of {name} in these files")
    say(f"{name}: {len(found)} recorded stream{'s' if len(found) != 1 else ''}\n")
    for stored in found:
        deltas = deltas_of(FORMS[stored.form], stored.chunks)
        said = said_streamed(deltas)
        if said.case is not None:
            table.put(said.case, "streamed", "")
            table.put_forms(said.case, deltas)
        elif said.failed and not any("error" in kind for kind in stored.kinds):
            table.put("text", "streamed", f"{stored.name}: {said.failed}")


def _is_of(stored: Recording, name: str) -> bool:
    return stored.status == 200 and name in stored.name.split("/")[:-1]
