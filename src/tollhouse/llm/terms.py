"""What has to be settled before a model can be called."""

from typing import Literal, Protocol

from tollhouse.llm import settings
from tollhouse.llm.provider import FormName


class Terms(Protocol):
    """What has to be settled before a model can be called: the settings of `ai-proxy`."""

    @property
    def client_form(self) -> FormName: ...
    @property
    def route_type(self) -> settings.RouteType: ...
    @property
    def auth(self) -> settings.Auth | None: ...
    @property
    def model(self) -> settings.Model: ...
    @property
    def logging(self) -> settings.Logging: ...
    @property
    def response_streaming(self) -> Literal["allow", "deny", "always"] | None: ...
    @property
    def max_request_body_size(self) -> int: ...
    @property
    def model_name_header(self) -> bool: ...
