"""ollama as a client."""

import ollama
from tests.support.sdks.faults import Raised, check_fault, check_own_refusals, every_fault
from tests.support.sdks.site import Site

from tollhouse.llm.provider import FormName

RAISED = Raised(
    {
        "rate_limit": (ollama.ResponseError, 429),
        "context_length": (ollama.ResponseError, 400),
        "key": (ollama.ResponseError, 502),
        "server": (ollama.ResponseError, 500),
        "refused": (ollama.ResponseError, 401),
    },
    lambda error: int(error.status_code),
    None,
)


@every_fault
async def test_errors_are_the_sdk_s_own(site: Site, form: FormName, wrong: str) -> None:
    await check_fault(site, "ollama_chat", RAISED, form, wrong)


async def test_refusals_of_the_gateway_are_the_sdk_s_own_errors(site: Site) -> None:
    await check_own_refusals(site, "ollama_chat", RAISED)
