"""Where an act comes from: request, address and API key, as context variables.

They only describe; who acts is always passed as an argument.
"""

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("audit_request_id", default="")
address: ContextVar[str] = ContextVar("audit_address", default="")
key_id: ContextVar[str] = ContextVar("audit_key_id", default="")
