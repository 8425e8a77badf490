"""cohere as a client."""

import cohere
from cohere.core.api_error import ApiError
from tests.support.sdks.faults import Raised, check_fault, check_own_refusals, every_fault
from tests.support.sdks.site import Site

from tollhouse.llm.provider import FormName

RAISED = Raised(
    {
        "rate_limit": (cohere.TooManyRequestsError, 429),
        "context_length": (cohere.BadRequestError, 400),
        "key": (ApiError, 502),
        "server": (cohere.InternalServerError, 500),
        "refused": (cohere.UnauthorizedError, 401),
    },
    lambda error: int(error.status_code),
    lambda error: dict(error.headers),
)


@every_fault
async def test_errors_are_the_sdk_s_own(site: Site, form: FormName, wrong: str) -> None:
    await check_fault(site, "cohere_chat", RAISED, form, wrong)


async def test_refusals_of_the_gateway_are_the_sdk_s_own_errors(site: Site) -> None:
    await check_own_refusals(site, "cohere_chat", RAISED)
