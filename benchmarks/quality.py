"""How well the bundle `mini` finds things in real photographs, asked through the client.

    python benchmarks/quality.py [--data ../shared/data] [--weights DIR] [--skip-fit]

Indexes luma and eshop together and prints:

- pictures: each photograph of luma searches, itself left out. HitRate@10 is the share of those whose first ten hits
  hold the same model in the same colour (of the 412 photographs that have such a one), or the same model (of 690).
- weights: the same index asked with the colour's weight at 0 and at 3: share of the first ten hits in the same colour,
  and of the same model.
- sentences: the 101 titles of eshop search; share of the first five hits of the title's own type, with the shop's words
  left out of the index and with them, before and after `sosie models fit` on this catalog.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from real_catalogs import write_catalog

from sosie.client import Client, Filter, Hit, SearchResult
from sosie.local.stack import LocalStack

TOP_K = 10


def run_sosie(*arguments: object) -> str:
    """What one command of sosie's prints; it is shown only when it fails."""
    command = [sys.executable, "-m", "sosie.client", *map(str, arguments)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=1800)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


@contextmanager
def indexed(catalog: Path, data: Path, models: Path, state: Path, *options: str) -> Iterator[Client]:
    """A client of a stack that serves the catalog; `options` are the indexer's."""
    with LocalStack(models, state) as stack:
        addresses = stack.addresses
        places = ("--store", addresses["store"], "--triton", addresses["triton"], "--models", models)
        run_sosie("index", catalog, "--images", data, *places, *options)
        with Client(addresses["gateway"], timeout=30) as client:
            yield client


class Luma:
    """The photographs of luma, by the indexed picture's id."""

    def __init__(self, data: Path) -> None:
        with (data / "luma" / "images.csv").open(newline="") as file:
            self.rows = {Path(row["path"]).stem: row for row in csv.DictReader(file)}
        self.paths = {name: data / "luma" / row["path"] for name, row in self.rows.items()}

    def same_model(self, one: str, other: str) -> bool:
        return self.rows[one]["sku"] == self.rows[other]["sku"]

    def same_colour(self, one: str, other: str) -> bool:
        return bool(self.rows[one]["colour"]) and self.rows[one]["colour"] == self.rows[other]["colour"]

    def same_variant(self, one: str, other: str) -> bool:
        return self.same_model(one, other) and self.same_colour(one, other)

    def search(self, client: Client, weights: Mapping[str, float] | None = None) -> dict[str, list[str]]:
        """Each photograph's ten nearest others, by id; pictures of another shop are ''."""
        found = {}
        for name, path in self.paths.items():
            answer = client.search_by_image(path, top_k=TOP_K + 1, group_by_product=False, weights=weights)
            ids = [hit.picture.id if hit.product.shop == "luma" else "" for hit in answer.hits]
            found[name] = [other for other in ids if other != name][:TOP_K]
        return found

    def hit_rate(self, found: dict[str, list[str]], same: Callable[[str, str], bool]) -> tuple[float, int]:
        """The share of the photographs with a counterpart that found one, and how many have one."""
        able = [a for a in found if any(a != b and same(a, b) for b in self.rows)]
        hits = sum(any(b and same(a, b) for b in found[a]) for a in able)
        return hits / len(able), len(able)

    def precision(self, found: dict[str, list[str]], same: Callable[[str, str], bool]) -> float:
        """The mean share of the hits that are the same."""
        coloured = [name for name, row in self.rows.items() if row["colour"]]
        return sum(sum(bool(b) and same(a, b) for b in found[a]) / TOP_K for a in coloured) / len(coloured)


def type_precision(client: Client, data: Path) -> float:
    """The mean share of the first five hits of a title's own type."""
    products = {str(row["Id"]): row for row in json.loads((data / "eshop" / "catalog.json").read_text())}
    shares: list[float] = []
    for row in products.values():
        answer: SearchResult = client.search_by_text(row["Name"], top_k=5, filter=Filter(shops=("eshop",)))
        hits: tuple[Hit, ...] = answer.hits
        shares.append(sum(products[hit.product.product_id]["Type"] == row["Type"] for hit in hits) / 5)
    return sum(shares) / len(shares)


def report_pictures(luma: Luma, client: Client) -> None:
    """The rows of the table on pictures."""
    for name, weights in (
        ("default weights", None),
        ("look alone", {"look": 1, "colour": 0, "meaning": 0}),
        ("colour alone", {"look": 0, "colour": 1, "meaning": 0}),
    ):
        found = luma.search(client, weights)
        variant, variants = luma.hit_rate(found, luma.same_variant)
        model, models = luma.hit_rate(found, luma.same_model)
        print(
            f"  {name:<16} HitRate@10 model+colour {variant:.3f} (of {variants})  model {model:.3f} (of {models})",
            flush=True,
        )


def report_weights(luma: Luma, client: Client) -> None:
    """What the colour's weight does, by one index."""
    for weight in (0, 3):
        found = luma.search(client, {"colour": weight})
        colour, model = luma.precision(found, luma.same_colour), luma.precision(found, luma.same_model)
        print(f"  colour weight {weight}: same colour P@10 {colour:.3f}  same model P@10 {model:.3f}", flush=True)


def find_space(printed: str) -> str:
    """The embedding space that a command made."""
    return printed.rpartition("embedding space ")[2].split(";")[0].strip()


def measure(luma: Luma, catalog: Path, data: Path, models: Path, *, space: str, state: Path) -> None:
    """All tables for one embedding space."""
    print(f"{space}:", flush=True)
    with indexed(catalog, data, models, state / "bare", "--space", space, "--without-words") as client:
        print(f"  titles find their type, P@5: without words {type_precision(client, data):.3f}", flush=True)
    with indexed(catalog, data, models, state / "full", "--space", space) as client:
        print(f"  titles find their type, P@5: with words    {type_precision(client, data):.3f}", flush=True)
        report_pictures(luma, client)
        report_weights(luma, client)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--weights", type=Path, help="a folder with the weight packages, as of `sosie models build`")
    parser.add_argument("--skip-fit", action="store_true", help="measure the unfitted space only")
    arguments = parser.parse_args()
    data: Path = arguments.data.resolve()
    luma = Luma(data)
    weights = ["--weights", arguments.weights] if arguments.weights else []

    with tempfile.TemporaryDirectory(prefix="sosie-quality-") as folder:
        work = Path(folder)
        catalog, models = work / "real.jsonl", work / "models"
        print(f"{write_catalog(data, catalog)} products of luma and eshop")
        made = run_sosie("models", "build", "mini", "--repository", models, *weights)
        measure(luma, catalog, data, models, space=find_space(made), state=work / "before")
        if not arguments.skip_fit:
            fitting = ("--catalog", catalog, "--images", data, "--repository", models)
            fitted = run_sosie("models", "fit", *fitting, *weights)
            print(fitted)
            if "embedding space" in fitted:
                measure(luma, catalog, data, models, space=find_space(fitted), state=work / "after")


if __name__ == "__main__":
    main()
