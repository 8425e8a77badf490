"""Every recorded answer of every provider, read by the SDK of every form through the gateway."""

import asyncio

import pytest
from tests.support.models import replay
from tests.support.recordings import recording
from tests.support.sdks.site import ANSWERS, BROKEN, FORMS, SDKS, Site

from tollhouse.llm.provider import FormName

clients = pytest.mark.parametrize("client", list(SDKS))


@clients
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_application_reads_what_the_provider_s_own_sdk_reads(
    site: Site, client: FormName, name: str
) -> None:
    await site.compare(client, name)


@clients
@pytest.mark.parametrize("name", BROKEN)
async def test_an_error_in_a_stream_is_never_the_end_of_an_answer(
    site: Site, client: FormName, name: str
) -> None:
    site.models.play = replay(recording(name))
    base = f"/proxy/{client}/openai_chat"

    with pytest.raises(Exception, match=r"Token limit reached|Tool choice is required|ERROR"):
        await asyncio.to_thread(site.client(client, base).ask, FORMS["openai_chat"][1], stream=True)
