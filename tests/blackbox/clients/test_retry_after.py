"""When to come again is told in a header, wherever the provider says it."""

import msgspec
import pytest
from tests.support.models import plain, stream
from tests.support.recordings import recording
from tests.support.sdks.site import Site

ERROR = recording("synthetic/gemini-stream-429-array").content


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("client", ["openai_chat", "anthropic_messages"])
async def test_google_tells_it_in_the_body(site: Site, client: str, streamed: bool) -> None:
    half = len(ERROR) // 2
    in_pieces = stream([ERROR[:half], ERROR[half:]], kind="application/json", status=429)
    site.models.play = in_pieces if streamed else plain(ERROR, 429)
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5, "stream": streamed}

    reply = await site.node.request(
        "POST", f"/proxy/{client}/gemini", {"Content-Type": "application/json"}, msgspec.json.encode(body)
    )

    assert reply.status == 429
    assert reply.headers["retry-after"] == "34"
    assert b"Resource exhausted" in reply.body
