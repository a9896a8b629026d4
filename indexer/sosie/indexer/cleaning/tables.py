"""Reading the files that people edit: TOML, with one line that says what is wrong in them."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_FILE_BYTES = 16 * 2**20
"""Of one file: a slip of the option must not read a catalog into memory."""


class TableError(Exception):
    """A file cannot be used; the message names it and says what to change, on one line."""


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises TableError where there is none, or it is not TOML."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise TableError(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
        return tomllib.loads(raw.decode().removeprefix("\ufeff"))
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{path} is not TOML: {' '.join(str(error).split())}") from error


def check_names(path: Path, table: Mapping[str, Any], known: set[str]) -> None:
    """Raises TableError where the file has a name at its top that means nothing: it is more often a slip."""
    for name in table:
        if name not in known:
            raise TableError(f"{path}: {name!r} is not known here, expected {' or '.join(sorted(known))}")


def read_table(path: Path, table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The table `name`, empty where the file has none. Raises TableError where it is something else."""
    found = table.get(name, {})
    if not isinstance(found, dict):
        raise TableError(f"{path}: {name} must be a table, written [{name}]")
    return found


def read_texts(path: Path, value: Any, place: str) -> list[str]:
    """A list of texts. Raises TableError where `value` is something else; `place` is where it stands."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TableError(f"{path}: {place} must be a list of texts, such as ['a', 'b']")
    return value
