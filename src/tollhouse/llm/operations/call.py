"""What is known of one exchange that goes to a provider's operation."""

import msgspec

from tollhouse.llm.destination import Destination
from tollhouse.llm.dialogue import Reader
from tollhouse.llm.encoding import Gunzip
from tollhouse.llm.once import First
from tollhouse.llm.operations.bodies import Body
from tollhouse.llm.operations.work import Outgoing
from tollhouse.llm.recognise import Operation
from tollhouse.pdk.usage import Metered


class OperationCall(msgspec.Struct):
    destination: Destination
    out: Outgoing
    body: Body
    operation: Operation
    metered: Metered
    reader: Reader | None = None
    unzip: Gunzip | None = None
    #: the provider's encoding of the answer is the gateway's to undo
    read: bool = True
    answered: bool = False
    #: the answer came to its end
    ended: bool = False
    #: the client has been told why nothing more comes, or gets another answer
    over: bool = False
    #: what has come of an error that the client gets in another form
    error: bytes | None = None


class Slot(msgspec.Struct):
    call: OperationCall | None = None
    #: a retry with the same key will want this answer
    first: First | None = None
