"""The dispatcher: it finds commands, runs one, and says plainly what is missing."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from client.canned_gateway import CannedGateway
from sosie.client import cli

LOADED_BY_HELP = """
import sys
from sosie.client.cli import main
try:
    main(["search", "--help"])
except SystemExit as end:
    assert not end.code, end
heavy = {"numpy", "torch", "PIL", "pymilvus", "tritonclient", "onnx", "rich"}
rooms = {"sosie.engine", "sosie.gateway", "sosie.indexer", "sosie.local", "sosie.training", "sosie.shop"}
print("loaded:", sorted((heavy | rooms) & set(sys.modules)))
"""


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules that are commands; each file there becomes one, named as it is."""
    house = tmp_path / "house"
    room = house / "attic"
    room.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)

    def entries(group: str) -> list[EntryPoint]:
        assert group == "sosie.commands"
        return [EntryPoint(file.stem, f"house.attic.{file.stem}", group) for file in room.glob("*.py")]

    monkeypatch.setattr(cli, "entry_points", entries)
    yield room
    for name in [name for name in sys.modules if name.partition(".")[0] == "house"]:
        del sys.modules[name]


def write_command(rooms: Path, name: str, body: str, *, top: str = "", extra: str | None = "attic") -> None:
    """A command module whose `run` is `body`."""
    (rooms / f"{name}.py").write_text(
        f"{top}\nHELP = 'the {name} of the house'\nEXTRA = {extra!r}\n"
        f"def add_arguments(parser): parser.add_argument('--number', type=int, default=0)\n"
        f"def run(arguments):\n    {body}\n"
    )


def test_help_lists_every_command(rooms: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command has its line; one that cannot be imported says what installs it."""
    write_command(rooms, "dust", "return 0")
    write_command(rooms, "ghost", "return 0", top="import not_installed_anywhere")
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert "  dust   the dust of the house\n" in shown
    assert "  ghost  not installed: pip install 'sosie[attic]'\n" in shown
    assert "exit status:" in shown


def test_a_command_gives_the_exit_status(rooms: Path) -> None:
    """What `run` returns is what the shell gets."""
    write_command(rooms, "dust", "return arguments.number")
    assert cli.main(["dust", "--number", "3"]) == 3


def test_only_the_named_command_is_imported(rooms: Path) -> None:
    """A broken neighbour does not disturb."""
    write_command(rooms, "dust", "return 0")
    write_command(rooms, "ghost", "return 0", top="raise RuntimeError('imported')")
    assert cli.main(["dust"]) == 0


def test_a_missing_extra_is_one_line(rooms: Path) -> None:
    """A package that is not installed names the extra that brings it."""
    write_command(rooms, "dust", "import not_installed_anywhere.deep")
    with pytest.raises(SystemExit) as caught:
        cli.main(["dust"])
    assert caught.value.code == "sosie dust needs the extra 'attic': pip install 'sosie[attic]'"


def test_a_missing_extra_at_the_top_is_one_line(rooms: Path) -> None:
    """So it is where the module itself cannot be imported: the room is the extra."""
    write_command(rooms, "dust", "return 0", top="import not_installed_anywhere")
    with pytest.raises(SystemExit, match=r"^sosie dust needs the extra 'attic': pip install 'sosie\[attic\]'$"):
        cli.main(["dust"])


def test_a_missing_module_of_ours_is_a_bug(rooms: Path) -> None:
    """Then the traceback says more than advice to install something."""
    write_command(rooms, "dust", "import sosie.nowhere")
    with pytest.raises(ModuleNotFoundError, match=r"sosie\.nowhere"):
        cli.main(["dust"])


def test_an_unknown_command_suggests_close_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger is usage, status 2, and gets the name that was meant."""
    assert cli.main(["serach"]) == 2
    assert capsys.readouterr().err == "sosie: there is no command 'serach': did you mean search?\n"
    assert cli.main(["zzzzzz"]) == 2
    assert "sosie --help lists the commands" in capsys.readouterr().err


def test_no_command_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The overview goes to standard error with status 2."""
    assert cli.main([]) == 2
    assert capsys.readouterr().err.startswith("usage: sosie ")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """--version prints the installed version."""
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"sosie {version('sosie')}\n"


def test_search_help_loads_nothing_heavy() -> None:
    """The command line of the base install touches no other room and no array library."""
    command = [sys.executable, "-c", LOADED_BY_HELP]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "exit status:" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded: []"


def sosie(*arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own."""
    command = [sys.executable, "-c", "import sys; from sosie.client.cli import main; sys.exit(main())", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_quietly(gateway: CannedGateway) -> None:
    """A call under way is given up with status 130 and no traceback."""
    gateway.hold.clear()
    with sosie("search", "--text", "boots", "--address", gateway.address, "--timeout", "60") as process:
        assert gateway.received.wait(timeout=30)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == ("", "")


def test_a_reader_that_left_is_no_error(gateway: CannedGateway) -> None:
    """As in `sosie search ... | head -1`: no traceback, and the status of a broken pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-c", "import sys; from sosie.client.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "search", "--text", "boots", "--json", "--address", gateway.address],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_help_of_each_command_tells_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    """0, 1, 2 and 130 are explained where one looks for options."""
    for name in ("search", "classify"):
        with pytest.raises(SystemExit):
            cli.main([name, "--help"])
        shown = capsys.readouterr().out
        assert [int(status) for status in re.findall(r"^  (\d+) ", shown, re.MULTILINE)] == [0, 1, 2, 130]


@pytest.mark.parametrize("form", ["--json", "--explain"])
def test_any_name_can_be_printed(gateway: CannedGateway, tmp_path: Path, form: str) -> None:
    """File names that are not UTF-8 and titles in any script reach an output that knows only ASCII, escaped."""
    photo = os.fsencode(tmp_path) + b"/sh\xf6e.jpg"
    Path(os.fsdecode(photo)).write_bytes(b"\xff\xd8\xff shoe")
    command = [sys.executable, "-c", "import sys; from sosie.client.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "search", photo, photo, form, "--address", gateway.address],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert b"/sh\\udcf6e.jpg" in done.stdout
    assert b"dal" in done.stdout
    if form == "--json":
        assert [os.fsencode(json.loads(line)["query"]["picture"]) for line in done.stdout.splitlines()] == [photo] * 2
