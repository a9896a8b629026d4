"""Free ports on loopback."""

import contextlib
import socket

from sosie.local.errors import LocalError

HOST = "127.0.0.1"


def find_ports(**wanted: int) -> dict[str, int]:
    """A port for each name: the one wanted, or a free one where 0 is wanted.

    Nothing reserves a port until its server listens, so what is free may be taken by then. Raises LocalError where a
    wanted port is taken now.
    """
    ports = {}
    with contextlib.ExitStack() as stack:
        for name, port in wanted.items():  # all are held until the last is found, or one came twice
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind((HOST, port))
            except OSError as error:
                option = f"--{name.replace('_', '-')}-port"
                raise LocalError(f"{HOST}:{port} is taken ({error.strerror}): choose another {option}") from error
            ports[name] = int(holder.getsockname()[1])
    return ports
