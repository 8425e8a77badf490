"""Credentials of clouds: where they come from, and fresh ones in time.

What is signed with them is the business of `llm.signing`; this package reads files, asks metadata servers
and token endpoints, and never blocks the loop while it does. It knows no plugin.
"""
