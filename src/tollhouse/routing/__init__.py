"""Request head to route: which route answers, and what path its upstream is asked for.

A router is built once per snapshot, in slices, and never changes. It reproduces the precedence of
Kong's three router flavours over one shared index. Nothing here opens a socket, reads a clock or
remembers a request.
"""

from tollhouse.routing.build import RuleBook, build_router, building, check_routes, route_problem
from tollhouse.routing.match import Captures, Flavour, Match, RouteLike, Router, wire
from tollhouse.routing.streams import Connected, StreamRouter, stream_router
from tollhouse.routing.upstream_path import path_builder

__all__ = [
    "Captures",
    "Connected",
    "Flavour",
    "Match",
    "RouteLike",
    "Router",
    "RuleBook",
    "StreamRouter",
    "build_router",
    "building",
    "check_routes",
    "path_builder",
    "route_problem",
    "stream_router",
    "wire",
]
