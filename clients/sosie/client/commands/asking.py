"""What search and classify share: reading the questions, asking them one by one, saying what went wrong."""

import errno
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sosie.client.address import Address, resolve_address
from sosie.client.errors import DeadlineExceeded, InvalidRequest, NotFound, Overloaded, SosieError, Unavailable
from sosie.client.json_output import Json, failure_json, query_json
from sosie.client.questions import ImageSource, IndexedPicture, read_image
from sosie.client.tables import clean

STDIN = "-"

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Question:
    """A photo (a file's path, or - for standard input), an indexed picture or neither, and a sentence or none."""

    photo: str | None = None
    like: IndexedPicture | None = None
    sentence: str | None = None

    @property
    def name(self) -> str:
        """How messages call it."""
        if self.photo == STDIN:
            return "standard input"
        return self.photo or (f"{self.like.shop}/{self.like.product_id}" if self.like else repr(self.sentence))

    @property
    def short_name(self) -> str:
        """As `name`, without the photo's folders."""
        return Path(self.photo).name if self.photo else self.name

    def read(self) -> ImageSource | None:
        """The picture to ask with, its bytes read. Raises OSError, and InvalidRequest above the contract's size."""
        if self.photo is None:
            return self.like
        if self.photo == STDIN:
            return read_image(sys.stdin.buffer)
        if Path(self.photo).is_dir():
            raise IsADirectoryError(errno.EISDIR, "is a folder: name the files in it", self.photo)
        return read_image(self.photo)

    def to_json(self) -> Json:
        """The question in `--json`."""
        return query_json(picture=self.photo, like=self.like, sentence=self.sentence)


def find_address(command: str, option: str | None) -> Address:
    """The gateway to ask; ends the command with one line where the address is malformed."""
    try:
        return resolve_address(option)
    except ValueError as error:
        raise SystemExit(f"sosie {command}: {clean(str(error))}") from None


@dataclass
class Asking:
    """Asks questions one after the other; `failures` counts those that got no answer.

    A fault of one picture lets the others go on. Any other error ends the command: the next question would meet it too.
    """

    command: str
    address: Address
    as_json: bool
    failures: int = 0

    def ask_all(
        self, questions: Sequence[Question], ask: Callable[[Question, ImageSource | None], ResultT]
    ) -> Iterator[tuple[Question, ImageSource | None, ResultT]]:
        """Each answered question with the picture that it was asked with."""
        for question in questions:
            try:
                picture = question.read()
                result = ask(question, picture)
            except (SosieError, OSError) as error:
                fatal = not is_of_one_picture(error)
                self._report(question, error, fatal=fatal)
                if fatal:
                    raise SystemExit(1) from None
            else:
                yield question, picture, result

    def _report(self, question: Question, error: SosieError | OSError, *, fatal: bool) -> None:
        self.failures += 1
        if self.as_json:
            print_json(failure_json(question.to_json(), error))
        where = "" if fatal else f"{question.name}: "
        print(clean(f"sosie {self.command}: {where}{describe(error, self.address)}"), file=sys.stderr)


def is_of_one_picture(error: SosieError | OSError) -> bool:
    """Whether the picture is at fault, not the options, the gateway or the way there."""
    if isinstance(error, InvalidRequest):
        return error.field.startswith("image")
    return isinstance(error, NotFound) or not isinstance(error, SosieError)


def describe(error: SosieError | OSError, address: Address) -> str:
    """What went wrong and what to change."""
    if isinstance(error, OSError) and not isinstance(error, SosieError):
        return error.strerror or str(error)
    if isinstance(error, Unavailable) and not error.reason:
        where = f"the address comes from {address.source}"
        return f"{error}; {where}: start a gateway there, or name another with --address"
    if isinstance(error, DeadlineExceeded):
        return f"{error}; --timeout allows more"
    if isinstance(error, Overloaded) and error.retry_after is not None:
        return f"{error}; try again in {error.retry_after:g} s"
    return str(error)


def print_json(value: Json) -> None:
    """One line at once, so that a reader of a long run can follow; ASCII, so that any output takes it."""
    print(json.dumps(value), flush=True)


def format_times(step_times: Mapping[str, float]) -> str:
    """E.g. "decode 4 ms, search 39 ms"; no sum, because steps may run beside each other."""
    return ", ".join(f"{step} {seconds * 1000:.0f} ms" for step, seconds in step_times.items())
