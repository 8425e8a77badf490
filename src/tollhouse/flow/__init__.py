"""What befalls one exchange, from a complete request head to the last byte of its answer.

Start reading at `run.run`. Nothing here parses bytes or opens listening sockets; plugins and their
order come from the plan of the matched route.
"""
