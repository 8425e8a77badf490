"""This node's settings, and where entities come from. It decides nothing about traffic."""
