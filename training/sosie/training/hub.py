"""Fetches files from the Hugging Face hub, in a bounded time.

The hub's own client is asked in a process of its own: it repeats what failed by rules of its own and cannot be stopped
otherwise. It keeps what it fetched in its cache and takes a mirror's address from HF_ENDPOINT.
"""

import os
import subprocess
import sys
from pathlib import Path

from sosie.training.errors import WeightsError

FETCH_TIMEOUT = 1800.0
"""Seconds that one file may take."""
CONNECT_TIMEOUT = "10"
"""Seconds that the hub may keep the client waiting for an answer."""

_FETCH = """
import sys
from huggingface_hub import constants, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from huggingface_hub.utils import get_session
repository, *names = sys.argv[1:]
try:  # once: the client asks again for half a minute where nobody answers
    get_session().head(constants.ENDPOINT, timeout=constants.HF_HUB_ETAG_TIMEOUT)
    answers = True
except Exception:
    answers = False
for name in names:
    try:
        print(hf_hub_download(repository, name, local_files_only=not answers))
        break
    except EntryNotFoundError as error:
        if answers and isinstance(error, LocalEntryNotFoundError):  # it has gone since
            sys.exit("it does not answer")
    except Exception as error:
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
else:
    sys.exit("there is no such file" if answers else "it does not answer")
"""


def fetch_file(repository: str, *names: str, instead: str, limit: float = FETCH_TIMEOUT) -> Path:
    """The path of a repository's file in the hub's cache, fetched if it is not there.

    Of several names the first counts that the repository has. `instead` completes the error's sentence: what to do
    where the hub cannot be reached. Raises WeightsError.
    """
    mirror = f" at {os.environ['HF_ENDPOINT']}" if "HF_ENDPOINT" in os.environ else ""
    where = f"{' or '.join(names)} of {repository} from the Hugging Face hub{mirror}"
    environment = {"HF_HUB_ETAG_TIMEOUT": CONNECT_TIMEOUT, "HF_HUB_DOWNLOAD_TIMEOUT": CONNECT_TIMEOUT, **os.environ}
    command = [sys.executable, "-c", _FETCH, repository, *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, env=environment)
    except subprocess.TimeoutExpired as error:
        raise WeightsError(f"could not fetch {where} within {limit:.0f} s; {instead}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or "it gave no reason").splitlines()[-1]
        raise WeightsError(f"cannot fetch {where}: {said[:300]}; {instead}")
    return Path(done.stdout.splitlines()[-1])
