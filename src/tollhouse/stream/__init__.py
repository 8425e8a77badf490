"""Connections without HTTP: from a client to a target, bytes as they come.

`listener` accepts them, `peek` looks at what TLS clients say first, `session` is the whole way of one
connection, `relay` its bytes, `datagrams` the same for UDP, and `snapshot` what a configuration says of
them. What connections with HTTP have besides (parsers, headers, retries of requests) is unknown here.
"""
