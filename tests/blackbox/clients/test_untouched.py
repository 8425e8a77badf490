"""Client and provider speak one form: what neither the gateway nor its authors know gets through."""

from typing import Final

import msgspec
import pytest
from tests.support.models import plain, replay
from tests.support.recordings import Recording, recording
from tests.support.sdks.site import FORMS, SOME, Site, form_of

from tollhouse.llm.provider import FormName

JSON: Final = {"Content-Type": "application/json"}
#: a member of a request that has a conversation in it, in each form
TALK: Final[dict[FormName, bytes]] = {
    "openai_chat": b'"messages" :[ {"role":"user" , "content":"h\\u00e9\\/"} ]',
    "openai_responses": b'"input" :[ {"role":"user" , "content":"h\\u00e9\\/"} ]',
    "anthropic_messages": b'"max_tokens":9 , "messages" :[ {"role":"user" , "content":"h\\u00e9\\/"} ]',
    "gemini": b'"contents" :[ {"role":"user" , "parts":[ {"text" : "h\\u00e9\\/"}]} ]',
    "bedrock_converse": b'"messages" :[ {"role":"user" , "content":[ {"text" : "h\\u00e9\\/"}]} ]',
    "cohere_chat": b'"messages" :[ {"role":"user" , "content":"h\\u00e9\\/"} ]',
    "ollama_chat": b'"messages" :[ {"role":"user" , "content":"h\\u00e9\\/"} ]',
}
TOOLS: Final[dict[FormName, bytes]] = {
    "openai_chat": b'[ {"type": "function","function" :{"name":"f", "parameters": %b}}\n]',
    "openai_responses": b'[ {"type": "function","name":"f", "parameters" : %b}\n]',
    "anthropic_messages": b'[ {"name":"f",  "input_schema": %b}\n]',
    "gemini": b'[ {"functionDeclarations": [{"name":"f","parametersJsonSchema":%b}] }\n]',
    "bedrock_converse": b'[ {"toolSpec":{"name":"f", "inputSchema":{"json": %b } }}\n]',
    "cohere_chat": b'[ {"type": "function","function" :{"name":"f", "parameters": %b}}\n]',
    "ollama_chat": b'[ {"type": "function","function" :{"name":"f", "parameters": %b}}\n]',
}
_FIELD: Final = b'"field%05d" :\t{ "type":"number", "maximum" : 1.10e5, "future\\u0041":null},'
SCHEMA: Final = (
    b'{"type" : "object" ,\r\n "properties": {'
    + b"".join(_FIELD % number for number in range(1500))
    + b'"last": {} } }'
)
FUTURE: Final = b'{"of" :  [ 1.50, 123456789012345678901234567890, {"\\u0062":true } ] }'


def path_of(form: FormName, *, stream: bool) -> str:
    path = FORMS[form][2]
    if stream and form == "gemini":
        return path.replace(":generateContent", ":streamGenerateContent") + "?alt=sse"
    return path + "-stream" if stream and form == "bedrock_converse" else path


def request_of(form: FormName, *, stream: bool) -> dict[bytes, bytes]:
    """The members of a request as they are on the wire."""
    tools = TOOLS[form] % SCHEMA
    members = {
        b'"future_field"': FUTURE,
        b'"toolConfig"' if form == "bedrock_converse" else b'"tools"': (
            b'{ "tools":' + tools + b"}" if form == "bedrock_converse" else tools
        ),
    }
    if form not in ("gemini", "bedrock_converse"):
        members[b'"model"'] = b'"%b"' % FORMS[form][1].encode()
        members[b'"stream"'] = b"true" if stream else b"false"
    if form == "openai_chat" and stream:
        members[b'"stream_options"'] = b'{"include_usage" : true}'
    return members


def answer_of(form: FormName, *, stream: bool) -> Recording:
    stored = (recording(name) for name in (*SOME, *RESPONSES))
    return next(found for found in stored if form_of(found) == form and found.streamed == stream)


RESPONSES: Final = (
    "openai-responses/responses-tool-call-gpt-5.4",
    "openai-responses/responses-stream-tool-call-gpt-4o",
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", list(FORMS))
async def test_members_reach_the_provider_and_answers_the_client_byte_for_byte(
    site: Site, form: FormName, stream: bool
) -> None:
    stored = answer_of(form, stream=stream)
    site.models.play = replay(stored)
    members = request_of(form, stream=stream)
    told = b" ,\n".join(name + b" : " + value for name, value in members.items())
    body = b"{ " + told + b"," + TALK[form] + b"\n}"
    assert len(body) > 100_000

    reply = await site.node.request("POST", f"/proxy/{form}/{form}{path_of(form, stream=stream)}", JSON, body)

    assert reply.status == 200
    assert reply.body == stored.content
    arrived = msgspec.json.decode(site.models.last.body, type=dict[str, msgspec.Raw])
    sent = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    assert {name: bytes(raw) for name, raw in arrived.items()} == {
        name: bytes(raw) for name, raw in sent.items()
    }


@pytest.mark.parametrize("form", list(FORMS))
async def test_answers_younger_than_the_gateway_get_through(site: Site, form: FormName) -> None:
    stored = answer_of(form, stream=False)
    content = stored.content.replace(b"{", b'{ "younger" : [ 1.0e2 ,{}],', 1)
    site.models.play = plain(content)
    body = b"{" + TALK[form] + b"}"
    if form not in ("gemini", "bedrock_converse"):
        body = b'{"model":"%b","stream":false,' % FORMS[form][1].encode() + body[1:]

    reply = await site.node.request("POST", f"/proxy/{form}/{form}{path_of(form, stream=False)}", JSON, body)

    assert (reply.status, reply.body) == (200, content)
