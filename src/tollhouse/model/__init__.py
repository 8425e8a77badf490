"""What a configuration may say: entities, their settings, checks and Kong's error texts.

Settings are declared once, on frozen dataclasses; validation, defaults, Kong's error maps and the
Admin API's schemas are all read off them. Nothing here opens a socket or reads a clock.
"""
