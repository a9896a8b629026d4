"""A shop's declaration, and how it is read."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, model_validator

from sosie.crawler.currencies import is_currency
from sosie.crawler.drafts import MAX_CATEGORY_LEVELS, MAX_SHOP, absolute_url
from sosie.crawler.shops.located import Located, Place, read_located
from sosie.crawler.shops.rules import JsonPath, Model, Rule, Rules, Text
from sosie.crawler.texts import tidy

MAX_PAGES = 10_000
"""Of one listing: a shop that has more pages has a trap."""
HITS = 100
"""A page of a search API, where the declaration does not say."""


def _check_currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError("must be an active ISO 4217 code such as EUR")
    return code


def _check_url(url: str) -> str:
    if absolute_url(url) != url:
        raise ValueError("must be an absolute http or https address")
    return url


def _split_category(text: Any) -> Any:
    return [level for level in map(tidy, text.split(">")) if level] if isinstance(text, str) else text


Url: TypeAlias = Annotated[str, AfterValidator(_check_url)]
Category: TypeAlias = Annotated[list[Text], BeforeValidator(_split_category), Field(max_length=MAX_CATEGORY_LEVELS)]
"""Written "Men > Shoes" or as a list."""
Strategy: TypeAlias = Literal["json-ld", "microdata", "open-graph"]
STRATEGIES: tuple[Strategy, ...] = ("json-ld", "microdata", "open-graph")


class Listing(Model):
    """A page that lists products, such as a collection; `name` and `category` go to its products."""

    url: Url
    name: str = ""
    category: Category = Field(default_factory=list)
    query: str = ""
    """What a search API is asked for in place of the page."""


class Paging(Model):
    """The further pages of a listing: numbered by a parameter of the address, or each linked on the one before."""

    parameter: Text | None = None
    first: Annotated[int, Field(ge=0)] = 1
    next: Rule | None = None
    last: Annotated[int, Field(ge=1, le=MAX_PAGES)] = 500
    """No more pages than this are asked."""

    @model_validator(mode="after")
    def _name_one_way(self) -> Self:
        if (self.parameter is None) == (self.next is None):
            raise ValueError("paging names either a parameter or a rule for next")
        return self


class Fields(Model):
    """Where the fields of a product are. `category` finds its levels, `pictures` all addresses, the main one first."""

    product_id: Rules | None = None
    title: Rules | None = None
    brand: Rules | None = None
    category: Rules | None = None
    price: Rules | None = None
    currency: Rules | None = None
    url: Rules | None = None
    pictures: Rules | None = None
    availability: Rules | None = None
    description: Rules | None = None


class Search(Model):
    """A search service's JSON API, as Algolia's: one index, asked page by page."""

    url: Url
    application: Text
    key: Text
    """The key that the shop's own pages hold: it may search and nothing else."""
    index: Text
    hits: Annotated[int, Field(ge=1, le=1000)] = HITS
    items: JsonPath = "results[0].hits"
    pages: JsonPath = "results[0].nbPages"
    filters: str = ""
    fields: Fields
    attributes: dict[Text, Rules] = Field(default_factory=dict)


class Shop(Model):
    """All that is known of a shop."""

    shop: Annotated[str, Field(pattern=r"^\S+$", max_length=MAX_SHOP)]
    hosts: Annotated[list[Text], Field(min_length=1)]
    """Where its pages may be: links that lead elsewhere are not followed."""
    currency: Annotated[str, AfterValidator(_check_currency)] | None = None
    """That of prices that name none, or only a sign such as $; another one is refused."""
    decimal: Literal[".", ","] | None = None
    """What stands before the fraction in prices that rules find; without it a person's guess."""
    listings: list[Listing] = Field(default_factory=list)
    paging: Paging | None = None
    links: Rules | None = None
    """Addresses of product pages on a listing page."""
    storefront: Literal["shopify"] | None = None
    """A listing is asked for its products.json, and no page is read."""
    search: Search | None = None
    generic: list[Strategy] = Field(default_factory=lambda: list(STRATEGIES))
    """Where a field is looked for that no rule finds, in this order."""
    fields: Fields = Field(default_factory=Fields)
    attributes: dict[Text, Rules] = Field(default_factory=dict)
    brands: dict[Text, list[Text]] = Field(default_factory=dict)
    """A brand's name, and what the shop writes for it."""
    categories: dict[Text, Category] = Field(default_factory=dict)
    """A category of the shop's, and what it becomes."""

    @model_validator(mode="after")
    def _list_somehow(self) -> Self:
        if self.listings and not (self.links or self.storefront or self.search):
            raise ValueError("a shop with listings needs links, storefront or search, to find products on them")
        return self


def read_shop(path: Path) -> Shop:
    """Reads a declaration. Raises DeclarationError, whose message names the line of the first thing that is wrong."""
    located = read_located(path)
    if not isinstance(located.content, dict):
        raise located.refuse((), "a declaration has keys such as shop and hosts at its top")
    try:
        return Shop.model_validate(located.content)
    except ValidationError as error:
        found = [(_settle(located, each["loc"]), each) for each in error.errors(include_url=False)]
        place, first = min(found, key=lambda each: located.line(each[0]))
        more = f" ({len(found) - 1} more below)" if len(found) > 1 else ""
        raise located.refuse(place, _describe(place, first) + more) from error


def _settle(located: Located, place: tuple[int | str, ...]) -> Place:
    """The place in the file: where one rule stands for a list of them, pydantic counts it as the first."""
    settled: Place = ()
    content = located.content
    for step in place:
        if isinstance(content, dict) and isinstance(step, int):
            continue
        settled = (*settled, step)
        if isinstance(content, dict):
            content = content.get(step)
        elif isinstance(content, list) and isinstance(step, int) and step < len(content):
            content = content[step]
        else:
            content = None
    return settled


def _describe(place: Place, error: Any) -> str:
    name = ".".join(map(str, place)) or "the declaration"
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), _names(place), n=1)
        return f"{name} is not known here" + (f": did you mean {close[0]}?" if close else "")
    if error["type"] == "missing":
        return f"{name} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    given = error["input"]
    shown = f", is {given!r}" if isinstance(given, (str, int, float, bool)) and error["type"] != "value_error" else ""
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}"


def _names(place: Place) -> list[str]:
    """What could be meant at this place: all keys that declarations have."""
    models: list[type[BaseModel]] = [Shop] if len(place) == 1 else [Listing, Paging, Fields, Search, Rule]
    return [field.alias or name for model in models for name, field in model.model_fields.items()]
