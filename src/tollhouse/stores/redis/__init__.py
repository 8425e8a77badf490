"""Redis and Valkey: counts and values that many nodes share.

One connection of a worker to a server carries everything, and commands that come together are sent
together. It speaks RESP with hiredis' reader (extra `redis`) and knows servers behind sentinels and clusters.
Nobody waits for a server that is away: calls fail at once until it is back.
"""
