"""langchain-openai as a client."""

from collections.abc import Iterator

import openai
import pytest
from tests.support.sdks.faults import Raised, check_fault_of, every_fault
from tests.support.sdks.langchain_chat import LangchainChat
from tests.support.sdks.site import SOME, Site

from tollhouse.llm.provider import FormName

RAISED = Raised(
    {
        "rate_limit": (openai.RateLimitError, 429),
        "context_length": (openai.BadRequestError, 400),
        "key": (openai.InternalServerError, 502),
        "server": (openai.InternalServerError, 500),
    },
    lambda error: int(error.status_code),
    lambda error: dict(error.response.headers),
)


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[LangchainChat]:
    client = LangchainChat(site.url)
    yield client
    client.close()


@pytest.mark.parametrize("name", SOME)
async def test_answers_of_all_forms_are_read(site: Site, client: LangchainChat, name: str) -> None:
    await site.compare_compatible(client, name)


@every_fault
async def test_errors_are_the_sdk_s_own(
    site: Site, client: LangchainChat, form: FormName, wrong: str
) -> None:
    await check_fault_of(site, client, RAISED, form, wrong)
