"""Sockets towards clients and operators: accepting, reading requests, writing answers.

It knows nothing of routes and plugins: whoever is given a complete request head decides.
"""
