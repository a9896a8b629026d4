"""Starts the gateway: in this process, or as several that share its port. Imports what is heavy only to serve."""

import os
import sys

from sosie.gateway.logs import start_logging
from sosie.gateway.settings import GatewaySettings, SettingsError


def main() -> int:
    """Runs the gateway as its environment says. 0 after it was told to stop, 1 where it could not go on."""
    try:
        settings = GatewaySettings.load()
    except SettingsError as error:
        sys.stderr.write("sosie gateway: these settings are wrong\n  " + "\n  ".join(error.problems) + "\n")
        return 1
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its core writes lines of its own form beside the log
    start_logging(settings.log_format)
    try:
        if settings.workers > 1:
            from sosie.gateway.workers import run_workers  # noqa: PLC0415 -- one process needs none of it

            return run_workers(settings)
        from sosie.gateway.main import run  # noqa: PLC0415 -- brings all that the room stands on

        run(settings)
    except OSError as error:
        sys.stderr.write(f"sosie gateway: {error}\n")
        return 1
    return 0
