"""Several models for one request: which is asked first, and who is asked when one fails. Instants are
seconds of the node's clock and arrive as arguments; no state is shared between workers."""
