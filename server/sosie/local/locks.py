"""A lock file that says who holds it and goes away with its holder."""

import fcntl
import os
from pathlib import Path
from typing import Self


class FileLock:
    """An flock on a file that holds its holder's PID. The file is there only while the lock is held."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Takes the lock unless another process has it."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if self._is_current(descriptor):
                break
            os.close(descriptor)  # its last holder removed it between our open and our flock
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock back, if it is held, and removes the file."""
        if self._descriptor is not None:
            self.path.unlink(missing_ok=True)  # first: whoever waits for the old file then looks for the new one
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The PID of the process that holds it, None where it is free. Takes nothing."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode().strip()
            return int(text) if text.isdigit() else None
        else:
            return None
        finally:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.fstat(descriptor).st_ino == self.path.stat().st_ino
        except FileNotFoundError:
            return False
