"""`sosie doctor`."""

import argparse
import asyncio
import json

from sosie.engine.addresses import find_address

HELP = "check Triton, the index, that their spaces agree, and the gateway"
EXTRA = "gateway"

_EPILOG = "exit status: 0 all is well; 1 something is wrong; 2 wrong usage"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.add_argument("--triton", metavar="HOST:PORT", help="default $SOSIE_TRITON, else that of `sosie local up`")
    parser.add_argument("--store", metavar="URI", help="default $SOSIE_STORE, else that of `sosie local up`")
    parser.add_argument("--address", metavar="HOST:PORT", help="of the gateway; default $SOSIE_ADDRESS, else as above")
    parser.add_argument("--collection", default="sosie", metavar="NAME", help="default: %(default)s")
    parser.add_argument("--timeout", type=float, default=5.0, metavar="SECONDS", help="for each check (default: 5)")
    parser.add_argument("--json", action="store_true", help="print the checks as one JSON array")


def run(arguments: argparse.Namespace) -> int:
    from sosie.gateway.doctor import diagnose  # noqa: PLC0415 - brings all that the room stands on

    checks = asyncio.run(
        diagnose(
            triton=find_address(arguments.triton, "SOSIE_TRITON", "triton") or "localhost:8001",
            store=find_address(arguments.store, "SOSIE_STORE", "store") or "http://localhost:19530",
            gateway=find_address(arguments.address, "SOSIE_ADDRESS", "gateway") or "localhost:50051",
            collection=arguments.collection,
            timeout=arguments.timeout,
        )
    )
    if arguments.json:
        print(json.dumps([vars(check) for check in checks], ensure_ascii=False))
    else:
        for check in checks:
            print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<8} {check.detail}")
    return 0 if all(check.ok for check in checks) else 1
