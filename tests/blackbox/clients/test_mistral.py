"""mistralai as a client."""

import importlib
from collections.abc import Iterator

import pytest
from tests.support.sdks.faults import Raised, check_fault_of, every_fault
from tests.support.sdks.mistral_chat import MistralChat
from tests.support.sdks.site import SOME, Site

from tollhouse.llm.provider import FormName

errors = importlib.import_module("mistralai.client.errors")
RAISED = Raised(
    {
        "rate_limit": (errors.SDKError, 429),
        "context_length": (errors.SDKError, 400),
        "key": (errors.SDKError, 502),
        "server": (errors.SDKError, 500),
    },
    lambda error: int(error.status_code),
    lambda error: dict(error.headers),
)


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[MistralChat]:
    client = MistralChat(site.url)
    yield client
    client.close()


#: The SDK wants the function's name in every piece of a call. Mistral sends calls whole; who sends them in
#: pieces, as OpenAI does, names it once, and this SDK cannot read that from OpenAI either.
IN_PIECES = (
    "anthropic/messages-stream-parallel-tools-claude-3-5-sonnet-20240620",
    "bedrock/converse-stream-parallel-tools-amazon.nova-micro-v1",
    "cohere/chat-stream-parallel-tools",
    "ollama/api-chat-stream-tool-call-llama3.2",
)


@pytest.mark.parametrize("name", [name for name in SOME if name not in IN_PIECES])
async def test_answers_of_all_forms_are_read(site: Site, client: MistralChat, name: str) -> None:
    await site.compare_compatible(client, name)


@every_fault
async def test_errors_are_the_sdk_s_own(site: Site, client: MistralChat, form: FormName, wrong: str) -> None:
    await check_fault_of(site, client, RAISED, form, wrong)
