"""Plugins that are not Tollhouse's own: one Python file in a folder, or an entry point of a package.

Finding one reads no code; loading one runs it, and whatever is wrong with it becomes a `ConfigError`
with file and line. Nothing here takes a worker down: a plugin that cannot be loaded answers 500.
"""
