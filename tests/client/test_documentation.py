"""docs/client.md tells what there is."""

import argparse
import json
import re
from pathlib import Path
from typing import Any

import pytest

import sosie.client
from client.canned_gateway import REFUSED, CannedGateway
from sosie.client import errors
from sosie.client.cli import main
from sosie.client.commands import classify, search

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]


def options_of(module: Any) -> list[str]:
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return [name for action in parser._actions for name in action.option_strings if name.startswith("--")]


def section(title: str) -> str:
    """The text below a heading, up to the next of its level."""
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("module", [search, classify])
def test_every_option_is_documented(module: Any) -> None:
    """Each option of a command stands in the section of its name."""
    name = module.__name__.rpartition(".")[2]
    documented = set(re.findall(r"--[a-z][a-z-]*", section(f"`sosie {name}`") + section("Options of both")))
    assert set(options_of(module)) - {"--help"} <= documented


def test_no_other_option_is_documented() -> None:
    """What the page names as an option is one."""
    known = {"--help", "--version", *options_of(search), *options_of(classify)}
    assert set(re.findall(r"`(--[a-z][a-z-]*)", PAGE)) <= known


def test_every_error_is_documented() -> None:
    """Each class of the tree stands in the table of errors."""
    kinds = [name for name in sosie.client.__all__ if isinstance(getattr(sosie.client, name), type)]
    tree = [name for name in kinds if issubclass(getattr(sosie.client, name), errors.SosieError)]
    assert [name for name in tree if f"`{name}`" not in section("Errors")] == []


@pytest.mark.parametrize("example", PYTHON)
def test_the_examples_run(
    example: str,
    gateway: CannedGateway,
    photo: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each Python example asks a gateway and prints its hits."""
    monkeypatch.chdir(photo.parent)
    assert "localhost:50051" in example
    exec(example.replace("localhost:50051", gateway.address), {})  # noqa: S102 - our own page
    assert "Chelsea boot" in capsys.readouterr().out


def keys(value: Any) -> Any:
    """The shape of a JSON value: its names, whatever they hold."""
    if isinstance(value, dict):
        return {name: None if name == "attributes" else keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return None


def test_the_documented_json_is_what_programs_get(
    gateway: CannedGateway, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The examples of a search, a classification and a failure have every name of the real output, and no other."""
    refused = tmp_path / "refused.jpg"
    refused.write_bytes(REFUSED)
    ask = ["--json", "--address", gateway.address]
    assert main(["search", "--like", "brno/B%2F1", "--explain", *ask]) == 0
    assert main(["classify", str(photo), *ask]) == 0
    assert main(["classify", str(refused), *ask]) == 1
    given = [keys(json.loads(line)) for line in capsys.readouterr().out.splitlines()]
    assert [keys(example) for example in EXAMPLES] == given
