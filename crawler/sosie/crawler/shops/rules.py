"""Where a field is: the forms of a rule, checked when the declaration is read."""

from typing import Annotated, Any, Literal, Self, TypeAlias

import jmespath
import regex
from cssselect import SelectorError
from lxml import etree
from parsel.csstranslator import HTMLTranslator
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

SOURCES = ("css", "xpath", "json_ld", "microdata", "open_graph", "script", "json", "known", "value")
"""What a rule looks in; it names one of them."""


class Model(BaseModel):
    """A part of a declaration: unknown keys and values of other types are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _check_css(query: str) -> str:
    try:
        HTMLTranslator().css_to_xpath(query)
    except SelectorError as error:
        raise ValueError(f"is no CSS selector: {error}") from error
    return query


def _check_xpath(query: str) -> str:
    try:
        etree.XPath(query)
    except etree.XPathSyntaxError as error:
        raise ValueError(f"is no XPath expression: {error}") from error
    return query


def _check_path(path: str) -> str:
    try:
        jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"is no JMESPath expression: {str(error).splitlines()[0]}") from error
    return path


def _check_regex(pattern: str) -> str:
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    return pattern


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Text: TypeAlias = Annotated[str, Field(min_length=1)]
Css: TypeAlias = Annotated[Text, AfterValidator(_check_css)]
XPath: TypeAlias = Annotated[Text, AfterValidator(_check_xpath)]
JsonPath: TypeAlias = Annotated[Text, AfterValidator(_check_path)]
Regex: TypeAlias = Annotated[Text, AfterValidator(_check_regex)]
Property: TypeAlias = Annotated[str, Field(pattern=r"^[\w:-]+(\.[\w:-]+)*$")]
Known: TypeAlias = Literal["page_url", "listing_name", "listing_url"]


class Script(Model):
    """JSON, or a literal that reads as JSON, within an element.

    Of the elements that `css` selects, the first counts that holds JSON, or in which JSON follows on `after`.
    """

    css: Css = "script"
    after: Regex | None = None
    path: JsonPath


class Rule(Model):
    """One place to look in, and what is done with what is found there.

    A rule finds any number of texts. Of most fields the first counts; of pictures and categories all.
    """

    css: Css | None = None
    """Elements, of which the text counts, or ::text, or ::attr(name)."""
    xpath: XPath | None = None
    json_ld: JsonPath | None = None
    """JMESPath in the page's schema.org Product in JSON-LD."""
    microdata: Property | None = None
    """A property of the page's schema.org Product, such as offers.price."""
    open_graph: Property | None = None
    """A meta property, such as og:title."""
    script: Script | None = None
    json_: JsonPath | None = Field(default=None, alias="json")
    """JMESPath in the answer of an API: in a hit, or in the page where all of it is JSON."""
    known: Known | None = None
    """What is known without looking into the page."""
    value: Text | None = None
    """A constant."""
    regex: Regex | None = None
    """Its first group, or all that it matches, is kept of each text; texts without a match are left out."""
    split: Text | None = None
    """Each text is cut wherever this stands."""
    join: str | None = None
    """All texts become one, with this between them."""
    template: Annotated[str, Field(pattern=r"\{\}")] | None = None
    """Each text is put where {} stands in this: an address of which only a part is found."""
    divide: Annotated[int, Field(ge=2, le=10_000)] | None = None
    """Whole numbers are divided by this: prices in cents by 100."""

    @model_validator(mode="after")
    def _name_one_source(self) -> Self:
        if len(self.sources) != 1:
            named = " and ".join(self.sources) or "none"
            raise ValueError(f"a rule names one of {', '.join(SOURCES)}; this one names {named}")
        return self

    @property
    def sources(self) -> list[str]:
        return [name for name in SOURCES if getattr(self, "json_" if name == "json" else name) is not None]

    def __str__(self) -> str:
        """The rule in a few words, as a check shows it."""
        (source,) = self.sources
        if self.script:
            return f"script {self.script.after or self.script.css} {self.script.path}"
        return f"{source} {getattr(self, 'json_' if source == 'json' else source)}"


Rules: TypeAlias = Annotated[list[Rule], BeforeValidator(_as_list), Field(min_length=1)]
"""Tried in their order: the first that finds anything counts."""
