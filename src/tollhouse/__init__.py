"""Tollhouse: an API gateway and LLM gateway that reads Kong's declarative configuration."""

__version__ = "0.1.0"
