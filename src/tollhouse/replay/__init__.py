"""A server of recorded answers: to drill clients and to test against what providers have really sent.

It plays what is on file, with the boundaries and faults it is told; it never asks a provider.
"""
