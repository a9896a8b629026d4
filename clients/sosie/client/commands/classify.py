"""`sosie classify`: says what photos show."""

import argparse

from sosie.client import arguments as syntax
from sosie.client.client import Client
from sosie.client.commands.asking import Asking, Question, find_address, format_times, print_json
from sosie.client.commands.sheet import photo_uri, write_sheet
from sosie.client.contact_sheet import SheetQuery, classify_section
from sosie.client.json_output import classify_json
from sosie.client.questions import ImageSource
from sosie.client.results import ClassifyResult
from sosie.client.tables import clean, format_table, paint, terminal_columns

HELP = "say what photos show: score labels against them"
EXTRA = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options; docs/client.md tells them at length."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="a JPEG, PNG or WebP file; - reads standard input")
    parser.add_argument(
        "--label-set",
        dest="label_sets",
        action="append",
        metavar="NAME",
        help="a set that the gateway serves, e.g. imagenet; repeatable; default: every served set",
    )
    parser.add_argument(
        "--labels",
        type=syntax.parse_labels,
        action=syntax.PairsAction,
        metavar="[NAME=]A,B,C",
        help="labels of your own, e.g. material=suede,leather; repeatable",
    )
    parser.add_argument("--top-k", type=int, metavar="N", help="how many labels of each set, 1 to 100; default: 5")
    syntax.add_crop_argument(parser)
    syntax.add_connection_arguments(parser)
    syntax.add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Asks, prints, and writes the contact sheet if one is wanted. 1 where a photo got no answer."""
    address = find_address("classify", arguments.address)
    asking = Asking("classify", address, arguments.json)
    sections: list[str] = []
    questions = [Question(photo=photo) for photo in arguments.photos]
    with Client(address.target, timeout=arguments.timeout) as client:

        def ask(_: Question, picture: ImageSource | None) -> ClassifyResult:
            return client.classify(
                picture or b"",
                label_sets=arguments.label_sets,
                labels=arguments.labels,
                crop=arguments.crop,
                top_k=arguments.top_k,
            )

        for question, picture, result in asking.ask_all(questions, ask):
            if arguments.json:
                print_json(classify_json(question.to_json(), result))
            else:
                _print_answer(question, result, titled=len(questions) > 1)
            if arguments.html:
                query = SheetQuery(question.short_name, photo_uri(picture), arguments.crop)
                sections.append(classify_section(query, result))
    if arguments.html:
        write_sheet("classify", arguments.html, sections, address.target)
    return 1 if asking.failures else 0


def _print_answer(question: Question, result: ClassifyResult, *, titled: bool) -> None:
    if titled:
        print(paint(clean(question.name), "bold"))
    header = ["set", "", "score", "label"]
    rows = [
        [answer.label_set if rank == 1 else "", str(rank), f"{label.score:.3f}", label.label]
        for answer in result.classifications
        for rank, label in enumerate(answer.labels, 1)
    ]
    lines = format_table(header, rows, numbers=("", "score"), flexible="label", columns=terminal_columns())
    print(paint(lines[0], "dim"), *lines[1:], sep="\n")
    times = format_times(result.step_times)
    if times:
        print(paint(clean(times), "dim"))
    if titled:
        print()
