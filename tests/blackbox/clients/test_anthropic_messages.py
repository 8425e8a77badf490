"""anthropic as a client."""

import anthropic
from tests.support.sdks.faults import Raised, check_fault, check_own_refusals, every_fault
from tests.support.sdks.site import Site

from tollhouse.llm.provider import FormName

RAISED = Raised(
    {
        "rate_limit": (anthropic.RateLimitError, 429),
        "context_length": (anthropic.BadRequestError, 400),
        "key": (anthropic.InternalServerError, 502),
        "server": (anthropic.InternalServerError, 500),
        "refused": (anthropic.AuthenticationError, 401),
    },
    lambda error: int(error.status_code),
    lambda error: dict(error.response.headers),
)


@every_fault
async def test_errors_are_the_sdk_s_own(site: Site, form: FormName, wrong: str) -> None:
    await check_fault(site, "anthropic_messages", RAISED, form, wrong)


async def test_refusals_of_the_gateway_are_the_sdk_s_own_errors(site: Site) -> None:
    await check_own_refusals(site, "anthropic_messages", RAISED)
