"""Bytes to events and back, sans-I/O.

Everything here is a pure function or a small state machine that is fed bytes. It never opens a
socket, never reads a clock and never logs.
"""
