"""What can go wrong: a code for programs, a sentence for people, details for the curious. No HTTP here."""

from typing import Any, ClassVar


class GatewayError(Exception):
    """Every error that a client may see, as an HTTP answer, an SSE `error` event or a JSON-RPC `data`."""

    code: ClassVar[str] = "INTERNAL_ERROR"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def body(self) -> dict[str, Any]:
        """`{"error": {"code", "message", "details"?}}`, the one envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.details:
            error["details"] = self.details
        return {"error": error}


class InternalError(GatewayError):
    """A fault of ours: logged whole, shown as this."""

    def __init__(self) -> None:
        super().__init__("Internal error")


class DatabaseRefused(GatewayError):
    """The database file can not be used at start; the message says what to do."""


class InvalidRequest(GatewayError):
    """It could not be parsed."""

    code = "INVALID_REQUEST"


class ValidationFailed(GatewayError):
    """It was parsed and does not fit; `fields` has one sentence per field."""

    code = "VALIDATION_FAILED"


class Unauthorized(GatewayError):
    code = "UNAUTHORIZED"


class Forbidden(GatewayError):
    code = "FORBIDDEN"


class ForbiddenOrigin(GatewayError):
    code = "FORBIDDEN_ORIGIN"


class ToolHeldBack(GatewayError):
    """A tool's definition is not the one that a person accepted."""

    code = "TOOL_HELD_BACK"


class NotFound(GatewayError):
    code = "RESOURCE_NOT_FOUND"


class MethodNotAllowed(GatewayError):
    code = "METHOD_NOT_ALLOWED"


class Conflict(GatewayError):
    code = "CONFLICT"


class PayloadTooLarge(GatewayError):
    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(GatewayError):
    code = "UNSUPPORTED_MEDIA_TYPE"


class MisdirectedRequest(GatewayError):
    code = "MISDIRECTED_REQUEST"


class RateLimited(GatewayError):
    code = "RATE_LIMITED"


class UpstreamError(GatewayError):
    """The other side answered, and the answer can not be used; or it broke."""

    code = "UPSTREAM_ERROR"


class UpstreamUnavailable(GatewayError):
    """The other side could not be reached or started; the message says what to do."""

    code = "UPSTREAM_UNAVAILABLE"


class AuthorizationNeeded(UpstreamUnavailable):
    """The other side wants a login that only a person can give; `start` in the details begins it."""

    code = "UPSTREAM_AUTHORIZATION_NEEDED"


class UpstreamTimeout(GatewayError):
    code = "UPSTREAM_TIMEOUT"
