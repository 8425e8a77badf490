"""All that a plugin may touch: the exchange, ways to refuse, settings, and what the node offers.

A plugin imports from here and from `llm`, never from `flow`, `server` or `upstream`.
"""

from tollhouse.errors import Reject, TryAnother
from tollhouse.model.schema import item, setting
from tollhouse.pdk.exchange import Exchange, OwnStream, Patience
from tollhouse.pdk.messages import Request, Response
from tollhouse.pdk.meter import Count, Distribution
from tollhouse.pdk.plugin import Plugin, Scope
from tollhouse.pdk.services import NodeInfo, Services, Sink, Tally, Window
from tollhouse.pdk.session import StreamSession
from tollhouse.wire.fields import FieldSet, wire_field

__all__ = [
    "Count",
    "Distribution",
    "Exchange",
    "FieldSet",
    "NodeInfo",
    "OwnStream",
    "Patience",
    "Plugin",
    "Reject",
    "Request",
    "Response",
    "Scope",
    "Services",
    "Sink",
    "StreamSession",
    "Tally",
    "TryAnother",
    "Window",
    "item",
    "setting",
    "wire_field",
]
