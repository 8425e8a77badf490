"""Choosing among targets. Pure: weights, turns and marks in, a choice out; no sockets, no clock."""
