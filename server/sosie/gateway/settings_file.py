"""The file form of settings: TOML, with their names as keys."""

import contextlib
import tomllib
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, InitSettingsSource


def read_file(path: Any) -> dict[str, Any]:
    """What a settings file says. Raises ValueError in the words of an operator."""
    try:
        return tomllib.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"is no TOML: {error}") from error


class FileSource(InitSettingsSource):
    """What the file says under the names of settings; what is wrong with the file is told by the field `config`."""

    def __init__(self, settings_cls: type[BaseSettings], path: Any) -> None:
        said: dict[str, Any] = {}
        if path is not None:
            with contextlib.suppress(ValueError):
                said = read_file(path)
        super().__init__(
            settings_cls, {name: value for name, value in said.items() if name in file_names(settings_cls)}
        )


def file_names(settings_cls: type[BaseSettings]) -> set[str]:
    """The names that a file may have: it cannot name another one."""
    return settings_cls.model_fields.keys() - {"config"}
