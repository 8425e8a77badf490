"""Measure what a request costs here, beside nginx, Envoy and other LLM gateways, in one run.

`python -m benchmarks` compares; `python -m benchmarks.scaling` looks at size and time. It starts
every server itself, on loopback, and stops it again; it never measures a server it did not start.
"""
