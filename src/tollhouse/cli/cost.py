"""tollhouse cost: how the costs in the log came about."""

from collections.abc import Iterator
from typing import IO, Any

import click
import msgspec

from tollhouse.cli.output import fail, say
from tollhouse.llm.explain import Bill, bill_of


@click.group("cost")
def command() -> None:
    """Look into what calls of models cost."""


@command.command("explain")
@click.argument("request_id")
@click.option(
    "--log",
    "log",
    type=click.File("rb"),
    required=True,
    help="The file that a file-log plugin writes; - reads standard input.",
)
def explain(request_id: str, log: IO[bytes]) -> None:
    """Show how the cost of the call REQUEST_ID (X-Kong-Request-Id) came about.

    The plugin that called the model needs logging.log_statistics.
    """
    record = next(_records(log, request_id), None)
    if record is None:
        fail(f"no request {request_id} is in that log")
    ai = record.get("ai", {})
    own_calls = ai.get("own_calls", ())
    if "call" not in ai and not own_calls:
        fail("that request called no model, or its plugin does not log statistics (logging.log_statistics)")
    problems = []
    if "call" in ai:
        meta = ai["proxy"]["meta"]
        answered = f"{meta['provider_name']} {meta['request_model']}, answered by {meta['response_model']}"
        problems.append(_explain(answered, ai["call"]))
    for own in own_calls:
        asked = f"{own['provider']} {own['model']}, asked by the gateway itself for {own['purpose']}"
        problems.append(_explain(asked, own))
    for problem in filter(None, problems):
        fail(problem)


def _explain(title: str, call: dict[str, Any]) -> str | None:
    """Shows one call; what is wrong with its cost."""
    who = "reported by the provider" if call["usage_source"] == "provider" else "estimated by the gateway"
    say(f"{title}; tokens {who}")
    if call.get("error"):
        say(f"the call did not end well ({call['error']}): what was delivered counts")
    bill = bill_of(call)
    if bill is None:
        say(f"tokens: {_tokens(call)}")
        return "nobody knows the price of this model: set `prices` in the plugin's configuration"
    _show(bill, call["price"])
    if not bill.agrees:
        return f"the log says {bill.logged_usd} USD: the record was changed, or written by another version"
    return None


def _records(log: IO[bytes], request_id: str) -> Iterator[Any]:
    wanted = request_id.encode()
    for line in log:
        if wanted not in line:
            continue
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue  # a line that is being written
        if isinstance(record, dict) and record.get("request", {}).get("id") == request_id:
            yield record


def _tokens(call: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in call["tokens"].items()) or "none"


def _show(bill: Bill, price: dict[str, Any]) -> None:
    for line in bill.lines:
        rate = f"{line.rate} USD per {line.per}"
        say(f"  {line.kind:<17}{line.tokens:>10} {line.unit} x {rate:<26} = {line.usd:f} USD")
    unit = bill.lines[0].unit if bill.lines else "tokens"
    say(f"  {'total':<17}{sum(line.tokens for line in bill.lines):>10} {unit}   {'':<26} = {bill.usd:f} USD")
    where = [f"prices: {price['table']}"]
    for name, words in (("model", "row"), ("tier", "tier"), ("above_prompt_tokens", "above prompt tokens")):
        if price.get(name) is not None:
            where.append(f"{words} {price[name]}")
    say(", ".join(where))
