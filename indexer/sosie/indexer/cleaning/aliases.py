"""The alias file: one form for brands, and for phrases in titles."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from sosie.indexer.cleaning.tables import TableError, check_names, read_table, read_texts, read_toml
from sosie.indexer.cleaning.text import fold, tidy


@dataclass(frozen=True)
class Aliases:
    """What brands are called here, by their folded spellings, and phrases of titles likewise."""

    brands: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    _phrases: re.Pattern[str] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.titles:
            longest_first = sorted(self.titles, key=lambda phrase: (-len(phrase), phrase))
            anywhere = "|".join(re.escape(phrase).replace(r"\ ", r"\s+") for phrase in longest_first)
            # A phrase stands alone: "tee" is not found in "steel".
            object.__setattr__(self, "_phrases", re.compile(rf"(?<!\w)(?:{anywhere})(?!\w)", re.IGNORECASE))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the tables [brands] and [titles]: a name, and the list of spellings that become it.

        Raises TableError where the file cannot be read, a spelling belongs to two names, or a name is itself a spelling
        of another.
        """
        content = read_toml(path)
        check_names(path, content, {"brands", "titles"})
        brands = _read_names(path, "brands", read_table(path, content, "brands"))
        titles = _read_names(path, "titles", read_table(path, content, "titles"))
        return cls(brands, titles)

    def brand(self, written: str) -> str:
        """The brand's one form; as it is where the file does not know it."""
        return self.brands.get(fold(written), written) if self.brands else written

    def title(self, written: str) -> str:
        """The title with each phrase in its one form; as it is where nothing would be left of it."""
        if not self._phrases:
            return written
        return tidy(self._phrases.sub(self._put, written)) or written

    def _put(self, phrase: re.Match[str]) -> str:
        # IGNORECASE and casefold differ in a few letters, where the phrase stays as it is.
        return self.titles.get(fold(phrase[0]), phrase[0])


def _read_names(path: Path, kind: str, table: Mapping[str, Any]) -> dict[str, str]:
    spelled: dict[str, str] = {}
    for written, spellings in table.items():
        name = tidy(written)
        if not name and kind == "brands":
            raise TableError(f"{path}: a brand needs a name, [brands] has an empty one")
        _add(path, kind, spelled, [name] if name else [], name)
        _add(path, kind, spelled, read_texts(path, spellings, f"[{kind}] {written!r}"), name)
    if kind == "brands":
        return spelled
    return {spelling: name for spelling, name in spelled.items() if spelling != fold(name)}  # its letter case is free


def _add(path: Path, kind: str, spelled: dict[str, str], spellings: Sequence[str], name: str) -> None:
    for written in spellings:
        spelling = fold(written)
        if not spelling:
            raise TableError(f"{path}: [{kind}] {name!r} has an empty spelling")
        other = spelled.setdefault(spelling, name)
        if other != name:
            raise TableError(
                f"{path}: [{kind}] {written!r} belongs to {other!r} and to {name!r}: leave it to one of them"
            )
