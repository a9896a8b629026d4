"""What a process that died in the middle of Milvus Lite's flush has left, put right before Lite opens it again.

A flush of milvus-lite 3.2 writes the rows of its log to a file of their own, names that file and the number of the
next log in `manifest.json`, in one step, and then removes the log. A log that is still there after that step is read
again at the next opening, whatever the manifest says: each of its rows is then there twice, and is counted and found
twice.
"""

import contextlib
import fcntl
import json
import re
from pathlib import Path

_LOG = re.compile(r"wal_(?:data|delta)_(\d+)\.arrow")


def remove_flushed_logs(path: Path) -> int:
    """Removes the logs of the .db at `path` whose rows are in files already; gives their number.

    Does nothing to one that a process has open.
    """
    try:
        lock = (path / "LOCK").open("r+b")
    except OSError:  # not there, or not ours to write
        return 0
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        flushed = [log for manifest in path.rglob("manifest.json") for log in _find_flushed_logs(manifest)]
        for log in flushed:
            log.unlink(missing_ok=True)
        return len(flushed)


def _find_flushed_logs(manifest: Path) -> list[Path]:
    """Those below the number that the manifest names as the one in use."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # Lite will say what is wrong with it
        used = int(json.loads(manifest.read_text())["active_wal_number"])
        logs = [(log, _LOG.fullmatch(log.name)) for log in (manifest.parent / "wal").iterdir()]
        return [log for log, number in logs if number and int(number[1]) < used]
    return []
