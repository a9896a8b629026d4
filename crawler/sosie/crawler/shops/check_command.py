"""`sosie crawl check`: what a declaration finds in a page that was saved."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sosie.crawler.shops.checking import Findings

HELP = "show what a shop's declaration finds in a saved page"
NOTHING_USABLE = 3
"""Exit status where the page gives no product, and a listing page no link."""

_NAME = "sosie crawl check"
_KINDS = ("product", "listing", "search", "storefront")
_EPILOG = """exit status:
  0  the page gives at least one product, or link
  1  failed; one line on standard error says why
  2  wrong usage
  3  the page gives nothing that a catalog takes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("shop", metavar="SHOP", help="a declaration, or the name of one that comes with sosie")
    parser.add_argument("page", metavar="FILE", help="a page of the shop, as saved")
    parser.add_argument(
        "--url", default="", metavar="URL", help="the page's address (default: the one it gives itself)"
    )
    parser.add_argument("--listing", metavar="NAME", help="the declared listing that led to the page")
    parser.add_argument(
        "--as", dest="kind", choices=_KINDS, help="what the page is (default: product; search or storefront for JSON)"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    from sosie.crawler.rejects import Unusable  # noqa: PLC0415 - the top of a command stays light
    from sosie.crawler.shops.checking import check, format_findings  # noqa: PLC0415
    from sosie.crawler.shops.declaration import read_shop  # noqa: PLC0415
    from sosie.crawler.shops.located import DeclarationError  # noqa: PLC0415

    if arguments.page.startswith(("http://", "https://")):
        raise SystemExit(f"{_NAME}: pages are not fetched yet: save {arguments.page} and name the file")
    try:
        shop = read_shop(_find(arguments.shop))
        body = _read(Path(arguments.page))
        findings = check(shop, body, arguments.url, listing=arguments.listing, kind=arguments.kind)
    except DeclarationError as error:
        raise SystemExit(f"{_NAME}: {error}") from error
    except OSError as error:
        raise SystemExit(f"{_NAME}: {error.filename or arguments.page}: {error.strerror or error}") from error
    except (Unusable, ValueError) as error:
        raise SystemExit(f"{_NAME}: {arguments.page}: {error}") from error
    _print(findings, format_findings(findings), as_json=arguments.json)
    return 0 if findings.products or findings.links else NOTHING_USABLE


def _find(name: str) -> Path:
    """The file, or the declaration of this name among those that come with sosie."""
    shipped = Path(__file__).parent / "declared"
    names = sorted(path.stem for path in shipped.glob("*.yaml"))
    if name in names and not Path(name).exists():
        return shipped / f"{name}.yaml"
    if not Path(name).exists():
        raise SystemExit(f"{_NAME}: {name} is no file, and none of the shops that come with sosie: {', '.join(names)}")
    return Path(name)


def _read(path: Path) -> bytes:
    from sosie.crawler.shops.page import MAX_BYTES  # noqa: PLC0415 - the top of a command stays light

    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _print(findings: "Findings", table: str, *, as_json: bool) -> None:
    print(json.dumps(findings.as_dict(), ensure_ascii=False) if as_json else table)
    sys.stdout.flush()
