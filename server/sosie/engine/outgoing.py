"""What goes along with every request to a backend on behalf of the question that is being answered."""

from contextvars import ContextVar

Metadata = tuple[tuple[str, str], ...]
"""gRPC metadata: lower-case names and printable ASCII values."""

METADATA: ContextVar[Metadata] = ContextVar("sosie_outgoing_metadata", default=())
"""Names the question to the backends: its trace (`traceparent`, `tracestate`) and its request id. Set by whoever
answers it, for the task that answers and those that it starts; empty elsewhere."""
