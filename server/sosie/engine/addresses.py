"""Where things are when the command line does not say: the environment, then what `sosie local up` left."""

import json
import os
from pathlib import Path

STATE_FILE = Path(".sosie") / "local.json"


def find_address(given: str | None, variable: str, name: str, state_file: Path = STATE_FILE) -> str | None:
    """`given`, else the environment's `variable`, else `name` in the running local set-up's file, else None."""
    return given or os.environ.get(variable) or _read_state(state_file).get(name)


def _read_state(path: Path) -> dict[str, str]:
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in state.items() if isinstance(value, str)} if isinstance(state, dict) else {}
