"""What the commands of this room say while they work, and that they need torch."""

from dataclasses import dataclass

SHOWN_PROBLEMS = 20


def tell(message: str) -> None:
    """Prints a step, indented below what the command does."""
    print(f"  {message}", flush=True)  # noqa: T201  # as commands do


@dataclass
class Problems:
    """What is wrong with a catalog: the first are shown, all are counted."""

    count: int = 0

    def add(self, problem: str) -> None:
        """Counts a line or a picture that is left out."""
        self.count += 1
        if self.count <= SHOWN_PROBLEMS:
            tell(f"left out, {problem}")

    def tell(self) -> None:
        """Says how many there were beyond those shown."""
        if self.count > SHOWN_PROBLEMS:
            tell(f"left out, {self.count - SHOWN_PROBLEMS:,} more lines and pictures")


def require_torch(command: str) -> None:
    """Ends the command where torch is missing, with what installs it."""
    try:
        import torch  # noqa: F401, PLC0415  # the test is whether it is there
    except ModuleNotFoundError as error:
        raise SystemExit(f"{command}: needs {error.name}; pip install torch==2.13.0, then 'sosie[training]'") from error
