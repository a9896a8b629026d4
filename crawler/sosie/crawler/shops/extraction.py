"""From a page to a product: rules first, what pages say for machines where no rule finds anything."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from sosie.crawler.drafts import Draft, DraftPicture, absolute_url, build
from sosie.crawler.rejects import Reject, Unusable
from sosie.crawler.schema_org import Found, decimal_mark, read_product, split_category
from sosie.crawler.shops.declaration import Fields, Shop, Strategy
from sosie.crawler.shops.looking import LookError, look, plain_text
from sosie.crawler.shops.open_graph import read_tags
from sosie.crawler.shops.page import Page
from sosie.crawler.shops.rules import Rule
from sosie.crawler.texts import tidy
from sosie.v1 import product_pb2

FIELDS = tuple(Fields.model_fields)
"""In the order in which they are shown; attributes follow, their names with @."""

_STRATEGIES = {
    "json-ld": lambda page: read_product(page.json_ld),
    "microdata": lambda page: read_product(page.microdata),
    "open-graph": lambda page: read_tags(page.open_graph),
}


@dataclass(frozen=True)
class Value:
    """What was found for a field, by which rule or strategy; `problem` where a rule could not be followed."""

    field: str
    source: str
    texts: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Extraction:
    """What a page gave: the values of its fields, and what became of them."""

    values: Mapping[str, Value]
    outcome: product_pb2.Product | Reject
    problems: tuple[Value, ...] = ()
    """Rules that could not be followed."""
    notes: tuple[str, ...] = field(default=())
    """What of the values is not in the product, as drafts.Built tells it."""


def extract(shop: Shop, page: Page, known: Mapping[str, Value] | None = None) -> Extraction:
    """The product of a product page.

    `known` are values that a search API gave of it before: they count before the page's, and the page's pictures that
    are not among theirs follow on. Never raises for what is in the page.
    """
    values, problems = _apply(shop.fields, shop.attributes, page)
    for strategy in shop.generic:
        for name, texts in _read(strategy, page).items():
            values.setdefault(name, Value(name, strategy, tuple(texts)))
    if known:
        pictures = _join(known.get("pictures"), values.get("pictures"))
        values = {**values, **known}
        if pictures:
            values["pictures"] = pictures
    return finish(shop, page, values, problems)


def extract_item(shop: Shop, item: Page) -> Extraction:
    """The product of one hit of the search API. Raises ValueError where the shop declares none."""
    if not shop.search:
        raise ValueError(f"{shop.shop} declares no search")
    return finish(shop, item, *_apply(shop.search.fields, shop.search.attributes, item))


def finish(
    shop: Shop, page: Page, values: dict[str, Value], problems: Iterable[Value] = (), *, currency: str = ""
) -> Extraction:
    """The extraction that the values make; what the page's address and its listing tell fills what is missing."""
    _fill(values, page)
    texts = {name: value.texts for name, value in values.items()}
    first = {name: found[0] for name, found in texts.items()}
    ruled = values["price"].source not in _STRATEGIES if "price" in values else False
    draft = Draft(
        shop=shop.shop,
        product_id=first.get("product_id", ""),
        title=plain_text(first.get("title", "")),
        brand=_name_brand(shop, first.get("brand", "")),
        category_path=_map_category(shop, texts.get("category", ())),
        price=first.get("price", ""),
        currency=_find_currency(shop, first) or currency,
        decimal=shop.decimal if ruled else decimal_mark(first.get("price", "")),
        url=first.get("url", ""),
        pictures=[DraftPicture(url) for url in texts.get("pictures", ())],
        availability=first.get("availability", ""),
        attributes={name[1:]: plain_text(text) for name, text in first.items() if name.startswith("@")},
        description=plain_text(first.get("description", "")),
        base=page.base,
    )
    notes: tuple[str, ...] = ()
    outcome: product_pb2.Product | Reject
    try:
        outcome, notes = build(draft)
    except Unusable as error:
        outcome = Reject(error.reason, error.field, shop.shop, tidy(draft.product_id)[:256], page.url)
    return Extraction(values, outcome, tuple(problems), notes)


def _read(strategy: Strategy, page: Page) -> Found:
    return {name: texts for name, texts in _STRATEGIES[strategy](page).items() if texts}


def _apply(fields: Fields, attributes: Mapping[str, list[Rule]], page: Page) -> tuple[dict[str, Value], list[Value]]:
    values: dict[str, Value] = {}
    problems: list[Value] = []
    for name, rules in _rules(fields, attributes):
        for rule in rules:
            try:
                texts = look(rule, page)
            except LookError as error:
                problems.append(Value(name, str(rule), problem=str(error)))
                continue
            if texts:
                values[name] = Value(name, str(rule), tuple(texts))
                break
    return values, problems


def _rules(fields: Fields, attributes: Mapping[str, list[Rule]]) -> Iterator[tuple[str, list[Rule]]]:
    for name in FIELDS:
        if rules := getattr(fields, name):
            yield name, rules
    for name, rules in attributes.items():
        yield f"@{name}", rules


def _join(first: Value | None, second: Value | None) -> Value | None:
    if not first or not second:
        return first or second
    return Value(first.field, f"{first.source}, {second.source}", (*first.texts, *second.texts))


def _fill(values: dict[str, Value], page: Page) -> None:
    if "url" not in values and (url := page.canonical or page.url):
        values["url"] = Value("url", "page", (url,))
    if "product_id" not in values and (slug := _slug(page)):
        values["product_id"] = Value("product_id", "page address", (slug,))
    if "category" not in values and page.context.category:
        values["category"] = Value("category", "listing", page.context.category)


def _slug(page: Page) -> str:
    """The last part of the page's address, by which most shops know a product."""
    try:
        path = urlsplit(absolute_url(page.canonical, page.url) or page.url).path
    except ValueError:
        return ""
    return unquote(path.rstrip("/").rsplit("/", 1)[-1]).removesuffix(".html")


def _find_currency(shop: Shop, first: Mapping[str, str]) -> str:
    """That of the page, where it names one; a shop's price in another currency than declared is a price too."""
    return first.get("currency", "") or shop.currency or ""


def _name_brand(shop: Shop, written: str) -> str:
    folded = tidy(written).casefold()
    for name, spellings in shop.brands.items():
        if folded in {name.casefold(), *(spelling.casefold() for spelling in spellings)}:
            return name
    return written


def _map_category(shop: Shop, levels: Iterable[str]) -> list[str]:
    path = [level for level in map(tidy, split_category(list(levels))) if level]
    return shop.categories.get(" > ".join(path), path)
