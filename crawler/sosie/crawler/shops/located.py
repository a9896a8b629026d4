"""YAML whose every value knows its line, read without anything that could run or grow."""

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

MAX_BYTES = 2**20
"""Of a declaration."""

Place: TypeAlias = tuple[str | int, ...]
"""Keys and positions, from the top of the file to a value."""


class DeclarationError(Exception):
    """A declaration cannot be used; the message names file and line and says what to change, on one line."""


@dataclass(frozen=True)
class Located:
    """What a file says, in plain types, and the line of each value, counted from 1."""

    path: Path
    content: Any
    lines: dict[Place, int]

    def line(self, place: Place) -> int:
        """The line of the value, or of what is nearest above it."""
        for depth in range(len(place), 0, -1):
            if place[:depth] in self.lines:
                return self.lines[place[:depth]]
        return 1

    def refuse(self, place: Place, problem: str) -> DeclarationError:
        """The error to raise for a value."""
        return DeclarationError(f"{self.path}:{self.line(place)}: {problem}")


def read_located(path: Path) -> Located:
    """Raises DeclarationError where the file cannot be read, is not YAML, names a key twice or uses an alias."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise DeclarationError(f"{path} has more than {MAX_BYTES:,} bytes")
        loader = _Loader(raw.decode("utf-8-sig"))
        try:
            node = loader.get_single_node()
            lines: dict[Place, int] = {}
            content = _construct(loader, node, (), lines) if node else None
        finally:
            loader.dispose()
    except OSError as error:
        raise DeclarationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DeclarationError(f"{path} is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise DeclarationError(f"{path}:{mark.line + 1 if mark else 1}: is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: such as a date in a month 13
        raise DeclarationError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return Located(path, content, lines)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"aliases such as *{event.anchor} are not taken", event.start_mark
            )
        return super().compose_node(parent, index)


def _construct(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Any:
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(loader, each, (*place, number), lines) for number, each in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        content: dict[Hashable, Any] = {}
        for key_node, value in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None or key in content:
                problem = "a key must be a text" if key is None else f"{key!r} stands here twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[*place, key] = key_node.start_mark.line + 1
            content[key] = _construct(loader, value, (*place, key), lines)
        return content
    return loader.construct_object(node)
