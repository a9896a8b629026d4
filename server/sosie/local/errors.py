"""What can go wrong on one machine. Every message is one line that says what is wrong and what to change.

LocalError
├── ServerError   Triton answered a request of ours with an error; `status` is the HTTP status
├── GaveUpError   something broke again and again, so that starting it once more is no help
└── StoppedError  it was asked to stop while it was still starting
"""


class LocalError(Exception):
    """The root of all that this room raises on purpose."""


class ServerError(LocalError):
    """Triton answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GaveUpError(LocalError):
    """Something broke more often than it may be started again."""


class StoppedError(LocalError):
    """The start was broken off because a stop was asked for."""

    def __init__(self) -> None:
        super().__init__("stopped while starting")
