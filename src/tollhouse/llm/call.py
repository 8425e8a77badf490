"""What is known of one exchange that goes to a model."""

import msgspec

from tollhouse.llm.destination import Destination
from tollhouse.llm.dialogue import Passage, Sent
from tollhouse.llm.encoding import Gunzip
from tollhouse.llm.formats.openai_chat.forward import Members
from tollhouse.llm.observing import Observer
from tollhouse.llm.once import First
from tollhouse.pdk.usage import Metered


class Call(msgspec.Struct):
    """An exchange that goes to a model."""

    destination: Destination | None = None
    #: `None` if the body is passed on untouched, and its answer as well
    sent: Sent | None = None
    streamed: bool = False
    members: Members | None = None
    metered: Metered | None = None
    #: a retry with the same key will want this answer
    first: First | None = None
    #: what the provider is sent, kept if log records shall have it
    request: bytes = b""
    #: the provider got the client's own key
    own_key: bool = False
    passage: Passage | None = None
    #: who reads along where the answer is passed on untouched
    observer: Observer | None = None
    unzip: Gunzip | None = None
    #: nothing of the provider's goes to the client any longer: it has been told why, or gets another answer
    over: bool = False
    #: the provider's answer came to its end
    ended: bool = False
    #: what has come of an error that the client gets in another form
    error: bytes | None = None
    #: the answer came whole and was none
    unusable: bool = False
    #: bytes of such an answer
    received: int = 0
    #: what the call used is put down
    settled: bool = False
