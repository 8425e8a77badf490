"""google-genai as a client."""

import importlib

from tests.support.sdks.faults import Raised, check_fault, check_own_refusals, every_fault
from tests.support.sdks.site import Site

from tollhouse.llm.provider import FormName

errors = importlib.import_module("google.genai.errors")
RAISED = Raised(
    {
        "rate_limit": (errors.ClientError, 429),
        "context_length": (errors.ClientError, 400),
        "key": (errors.ServerError, 502),
        "server": (errors.ServerError, 500),
        "refused": (errors.ClientError, 401),
    },
    lambda error: int(error.code),
    lambda error: dict(error.response.headers),
)


@every_fault
async def test_errors_are_the_sdk_s_own(site: Site, form: FormName, wrong: str) -> None:
    await check_fault(site, "gemini", RAISED, form, wrong)


async def test_refusals_of_the_gateway_are_the_sdk_s_own_errors(site: Site) -> None:
    await check_own_refusals(site, "gemini", RAISED)
