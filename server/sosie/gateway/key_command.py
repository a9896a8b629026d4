"""`sosie gateway-key`."""

import argparse
import sys

HELP = "make an API key for a caller of the gateway"
EXTRA = "gateway"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Makes a key. Standard error shows it, this once; standard output gets its line for the file that SOSIE_KEYS"
        " names, which holds a digest only: sosie gateway-key NAME >> keys.toml"
    )
    parser.add_argument("name", help="who calls: 1 to 64 letters, digits, - and _")
    parser.add_argument("--rate", type=float, help="calls a second that it may make; as many as it likes unless given")
    parser.add_argument("--burst", type=float, help="calls that it may make at once; the rate unless given")


def run(arguments: argparse.Namespace) -> int:
    from sosie.gateway.keys import make_key, read_keys  # noqa: PLC0415 -- stands on more than the standard library

    key, digest = make_key()
    numbers = {"rate": arguments.rate, "burst": arguments.burst}
    said = "".join(f", {name} = {value:g}" for name, value in numbers.items() if value is not None)
    line = f'{arguments.name} = {{ sha256 = "{digest}"{said} }}'
    try:
        if list(read_keys(line.encode())) != [arguments.name]:
            raise ValueError("a name is 1 to 64 letters, digits, - and _")
    except ValueError as error:
        raise SystemExit(f"sosie gateway-key: {error}") from None
    sys.stderr.write(f"{key}\n")
    print(line)
    return 0
