"""Errors of AWS: a message in the body, their kind in a header.

https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from tollhouse.llm.chat import Trouble
from tollhouse.llm.form import MALFORMED, ErrorAnswer, Problem, seconds_in
from tollhouse.llm.trouble import short, trouble_of

_KIND_HEADER: Final = "x-amzn-errortype"
_BY_KIND: Final[Mapping[str, Trouble]] = {
    "accessdeniedexception": "permission",
    "expiredtokenexception": "upstream_auth",
    "incompletesignature": "upstream_auth",
    "invalidclienttokenid": "upstream_auth",
    "invalidsignatureexception": "upstream_auth",
    "missingauthenticationtokenexception": "upstream_auth",
    "unrecognizedclientexception": "upstream_auth",
    "resourcenotfoundexception": "not_found",
    "modeltimeoutexception": "timeout",
    "modelerrorexception": "upstream_error",
    "modelstreamerrorexception": "upstream_error",
    "internalserverexception": "upstream_error",
    "modelnotreadyexception": "overloaded",
    "serviceunavailableexception": "overloaded",
    "servicequotaexceededexception": "quota",
    "throttlingexception": "rate_limit",
}
#: AccessDeniedException is also what a wrong API key gets
_BAD_KEY: Final = re.compile(r"authentication failed|api key|bearer token", re.IGNORECASE)
#: ValidationException is also what an unknown model gets
_NO_MODEL: Final = re.compile(r"model identifier is invalid|invalid model", re.IGNORECASE)
_SHOWN: Final[Mapping[Trouble, tuple[int, str]]] = {
    "invalid_request": (400, "ValidationException"),
    "context_length": (400, "ValidationException"),
    # The client's own key is fine: a 403 would make it throw that away.
    "upstream_auth": (500, "InternalServerException"),
    "auth": (403, "UnrecognizedClientException"),
    "permission": (403, "AccessDeniedException"),
    "not_found": (404, "ResourceNotFoundException"),
    "too_large": (400, "ValidationException"),
    "rate_limit": (429, "ThrottlingException"),
    "quota": (400, "ServiceQuotaExceededException"),
    "overloaded": (503, "ServiceUnavailableException"),
    "timeout": (408, "ModelTimeoutException"),
    "content_filter": (400, "ValidationException"),
    "upstream_error": (500, "InternalServerException"),
}


class _Error(msgspec.Struct):
    message: str | None = None
    Message: str | None = None
    type: str = msgspec.field(default="", name="__type")


_NOTHING: Final = _Error()


def decode_error(status: int, body: bytes, headers: Mapping[str, str]) -> Problem:
    try:
        error = msgspec.json.decode(body, type=_Error)
    except MALFORMED:
        error = _NOTHING
    text = error.message or error.Message or short(body) or f"the provider answered {status}"
    # `UnrecognizedClientException:http://internal.amazon.com/coral/…`, `com.amazon.coral#Throttling…`
    kind = headers.get(_KIND_HEADER, "").partition(":")[0] or error.type.rpartition("#")[2]
    return Problem(
        trouble_of_kind(kind, status, text), text, status, kind or None, retry_after=seconds_in(headers)
    )


def trouble_of_kind(kind: str, status: int, text: str) -> Trouble:
    found = _BY_KIND.get(kind.lower())
    if found == "permission" and _BAD_KEY.search(text):
        return "upstream_auth"
    if found is None and status == 400 and _NO_MODEL.search(text):
        return "not_found"
    return found or trouble_of(status, text, kind)


def encode_error(problem: Problem) -> ErrorAnswer:
    """boto3 raises an exception of its own kind only if the header tells it."""
    status, kind = _SHOWN[problem.trouble]
    return ErrorAnswer(status, msgspec.json.encode({"message": problem.message}), {_KIND_HEADER: kind})
