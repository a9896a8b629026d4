"""`sosie search`: finds products by photo, sentence or indexed picture."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sosie.client import arguments as syntax
from sosie.client.client import Client
from sosie.client.commands.asking import Asking, Question, find_address, format_times, print_json
from sosie.client.commands.sheet import PictureFiles, photo_uri, write_sheet
from sosie.client.contact_sheet import SheetQuery, search_section
from sosie.client.json_output import search_json
from sosie.client.local_pictures import LocalPictures, find_pictures
from sosie.client.questions import Filter, ImageSource, IndexedPicture
from sosie.client.results import SearchResult, count
from sosie.client.tables import clean, format_table, paint, terminal_columns

HELP = "find products by a photo, a sentence or an indexed picture"
EXTRA = None


class Answer(NamedTuple):
    """What the contact sheet needs of an answered question; `photo` is a data URI."""

    question: Question
    photo: str | None
    result: SearchResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options; docs/client.md tells them at length."""
    parser.add_argument("photos", nargs="*", metavar="PHOTO", help="a JPEG, PNG or WebP file; - reads standard input")
    parser.add_argument(
        "--text", metavar="SENTENCE", help="what to look for; beside a picture, what should be different"
    )
    parser.add_argument(
        "--like",
        type=syntax.parse_picture_name,
        metavar="SHOP/PRODUCT_ID[/PICTURE]",
        help="search with a picture that is indexed already",
    )
    syntax.add_crop_argument(parser)
    how = parser.add_argument_group("how to search")
    how.add_argument("--top-k", type=int, metavar="N", help="how many hits, 1 to 100; default: 10")
    how.add_argument(
        "--weight",
        dest="weights",
        type=syntax.parse_weight,
        action=syntax.PairsAction,
        metavar="PART=N",
        help="how much a part of the embedding counts, e.g. colour=3; repeatable",
    )
    how.add_argument("--min-score", type=float, metavar="SCORE", help="leave out hits that score less, 0 to 1")
    how.add_argument("--no-group", action="store_true", help="let each picture be a hit, not each product")
    how.add_argument("--explain", action="store_true", help="show the similarity, and what each part gave to it")
    what = parser.add_argument_group("what a product must be (all of it)")
    what.add_argument("--shop", dest="shops", action="append", metavar="SHOP", help="from this shop; repeatable: any")
    what.add_argument("--brand", dest="brands", action="append", metavar="BRAND", help="of this brand; repeatable: any")
    what.add_argument(
        "--category", type=syntax.parse_category, metavar="LEVEL/LEVEL", help="in this category, e.g. Men/Tops"
    )
    what.add_argument(
        "--price", type=syntax.parse_price, metavar="MIN..MAXCUR", help="e.g. 10..50EUR, ..50EUR, 10..EUR"
    )
    what.add_argument("--in-stock", action="store_true", help="can be ordered now")
    what.add_argument(
        "--attribute",
        dest="attributes",
        type=syntax.parse_attribute,
        action=syntax.PairsAction,
        metavar="NAME=VALUE",
        help="has this attribute, e.g. colour=red; repeatable: all",
    )
    syntax.add_connection_arguments(parser)
    syntax.add_output_arguments(parser)
    parser.add_argument(
        "--catalog", type=Path, metavar="FILE", help="the indexed catalog, so that --html finds pictures"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="the folder that the catalog's pictures are in")
    parser.set_defaults(usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Asks, prints, and writes the contact sheet if one is wanted. 1 where a question got no answer."""
    questions = _questions(arguments)
    address = find_address("search", arguments.address)
    asking = Asking("search", address, arguments.json)
    answers: list[Answer] = []
    with Client(address.target, timeout=arguments.timeout) as client:
        for question, picture, result in asking.ask_all(questions, lambda q, p: _ask(client, q, p, arguments)):
            if arguments.json:
                print_json(search_json(question.to_json(), result))
            else:
                _print_answer(question, result, titled=len(questions) > 1)
            if arguments.html:
                answers.append(Answer(question, photo_uri(picture), result))
    if arguments.html:
        files = PictureFiles(_local_pictures(arguments, answers))
        sections = [_section(answer, arguments, files) for answer in answers]
        write_sheet("search", arguments.html, sections, address.target)
    return 1 if asking.failures else 0


def _questions(arguments: argparse.Namespace) -> list[Question]:
    usage_error: Callable[[str], None] = arguments.usage_error
    if arguments.photos and arguments.like:
        usage_error("PHOTO and --like are both pictures: give one kind")
    if not (arguments.photos or arguments.like or arguments.text is not None):
        usage_error("give a PHOTO, --text SENTENCE or --like SHOP/PRODUCT_ID")
    if arguments.crop and not arguments.photos:
        usage_error("--crop needs a PHOTO to cut from")
    if (arguments.images is None) != (arguments.catalog is None):
        usage_error("--images and --catalog find pictures only together")
    if arguments.images and not arguments.html:
        usage_error("--images and --catalog are for --html FILE")
    if arguments.photos:
        return [Question(photo=photo, sentence=arguments.text) for photo in arguments.photos]
    return [Question(like=arguments.like, sentence=arguments.text)]


def _ask(
    client: Client, question: Question, picture: ImageSource | None, arguments: argparse.Namespace
) -> SearchResult:
    options: dict[str, Any] = {
        "top_k": arguments.top_k,
        "weights": arguments.weights,
        "filter": _filter(arguments),
        "min_score": arguments.min_score,
        "group_by_product": False if arguments.no_group else None,
        "explain": arguments.explain,
    }
    if picture is None:
        return client.search_by_text(question.sentence or "", **options)
    return client.search_by_image(picture, sentence=question.sentence, crop=arguments.crop, **options)


def _filter(arguments: argparse.Namespace) -> Filter:
    return Filter(
        shops=arguments.shops or (),
        brands=arguments.brands or (),
        category_prefix=arguments.category or (),
        price=arguments.price,
        in_stock=arguments.in_stock,
        attributes=arguments.attributes or {},
    )


def _print_answer(question: Question, result: SearchResult, *, titled: bool) -> None:
    if titled:
        print(paint(clean(question.name), "bold"))
    explained = any(hit.shares for hit in result.hits)
    parts = ["similarity", *(part.name for part in result.space.parts if part.weight)] if explained else []
    header = ["", "score", *parts, "title", "brand", "price", "picture", "product"]
    rows = []
    for rank, hit in enumerate(result.hits, 1):
        shares = {share.part: f"{share.share:+.3f}" for share in hit.shares}
        shares |= {"similarity": f"{hit.similarity:.3f}"}
        product = hit.product
        rows.append(
            [
                str(rank),
                f"{hit.score:.3f}",
                *(shares.get(part, "") for part in parts),
                product.title,
                product.brand,
                str(product.price or ""),
                hit.picture.id,
                syntax.format_picture_name(product.shop, product.product_id),
            ]
        )
    numbers = ["", "score", *parts, "price"]
    if rows:
        lines = format_table(header, rows, numbers=numbers, flexible="title", columns=terminal_columns())
        print(paint(lines[0], "dim"), *lines[1:], sep="\n")
    found = count(len(rows), "hit") if rows else "nothing fits"
    space = result.space
    where = space.name + (f", weighed as {'/'.join(space.category_path)}" if space.category_path else "")
    times = format_times(result.step_times)
    print(paint(clean(f"{found} in {where}" + (f": {times}" if times else "")), "dim"))
    if titled:
        print()


def _local_pictures(arguments: argparse.Namespace, answers: Sequence[Answer]) -> LocalPictures:
    if arguments.catalog is None:
        return LocalPictures()
    wanted = {(hit.product.shop, hit.product.product_id) for answer in answers for hit in answer.result.hits}
    if arguments.like:
        wanted.add((arguments.like.shop, arguments.like.product_id))
    try:
        return find_pictures(arguments.catalog, arguments.images, wanted)
    except OSError as error:
        raise SystemExit(f"sosie search: --catalog {arguments.catalog}: {error.strerror}") from None


def _section(answer: Answer, arguments: argparse.Namespace, files: PictureFiles) -> str:
    question = answer.question
    query = SheetQuery(
        title=question.short_name if question.photo or question.like else "",
        picture=files.uri(question.like) if question.like else answer.photo,
        crop=arguments.crop,
        sentence=question.sentence,
        options=_shown_options(arguments),
    )
    return search_section(
        query,
        answer.result,
        lambda hit, picture_id: files.uri(IndexedPicture(hit.product.shop, hit.product.product_id, picture_id)),
    )


def _shown_options(arguments: argparse.Namespace) -> dict[str, str]:
    """Those that were set, in words."""
    price = arguments.price
    shown = {
        "top k": arguments.top_k,
        "weights": ", ".join(f"{part} {weight:g}" for part, weight in (arguments.weights or {}).items()),
        "least score": arguments.min_score,
        "grouped": "no" if arguments.no_group else None,
        "shop": " or ".join(arguments.shops or ()),
        "brand": " or ".join(arguments.brands or ()),
        "category": " / ".join(arguments.category or ()),
        "price": f"{price.min or 0} to {price.max or '∞'} {price.currency}" if price else None,
        "in stock": "yes" if arguments.in_stock else None,
        "attributes": ", ".join(f"{name} {value}" for name, value in (arguments.attributes or {}).items()),
    }
    return {name: str(value) for name, value in shown.items() if value not in (None, "")}
