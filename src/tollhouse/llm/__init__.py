"""Everything about model APIs that can be told without a socket or a clock.

Three axes, three folders: a *form* is how bytes are laid out on the wire (`formats`), a *provider* is
where and with which credentials (`providers`, nearly all data), a *family* is a quirk of models wherever
they are hosted (`families`). Between two forms stands the neutral one of `chat`; where both ends speak
one form nothing is translated, the bytes are passed on. Nothing here sends, waits or logs.
"""
