"""What a rule finds in a page."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import jmespath
import regex

from sosie.crawler.schema_org import find_item
from sosie.crawler.shops.markup import MAX_PROPERTIES, MAX_TEXT, element_text
from sosie.crawler.shops.page import Page, find_json, parse_html, parse_json
from sosie.crawler.shops.rules import Rule, Script
from sosie.crawler.texts import texts_of

SECONDS = 1.0
"""One search with a declaration's expression may take: some take for ever on some texts."""
MAX_TEXTS = 1000
"""Of one rule."""
MAX_SCRIPTS = 200
"""Elements of a page that one rule looks into."""

_TAG = re.compile(r"<[A-Za-z/!][^<>]{0,2000}>")


class LookError(Exception):
    """A rule cannot be followed in this page; the message says why, on one line."""


def look(rule: Rule, page: Page) -> list[str]:
    """The texts that the rule finds, in the page's order; blank ones are left out. Raises LookError."""
    texts: Iterable[str] = (text.strip() for _, text in zip(range(MAX_TEXTS), _find(rule, page), strict=False))
    if rule.regex:
        texts = _match(rule.regex, texts)
    if rule.split:
        texts = (part.strip() for text in texts for part in text.split(rule.split, MAX_TEXTS))
    if rule.divide:
        texts = (_divide(text, rule.divide) for text in texts)
    if rule.template:
        texts = (rule.template.replace("{}", text) for text in texts if text)
    found = [text for text in texts if text][:MAX_TEXTS]
    return [rule.join.join(found)] if rule.join is not None and found else found


def plain_text(text: str) -> str:
    """A text without markup: descriptions in JSON are often HTML."""
    if not _TAG.search(text):
        return text[:MAX_TEXT]
    return element_text(parse_html(text).root)


def search_path(path: str, value: Any) -> Any:
    """What the JMESPath expression finds; None where it does not fit the value, such as a sum of texts."""
    try:
        return jmespath.search(path, value)
    except (jmespath.exceptions.JMESPathError, RecursionError, TypeError, ValueError):
        return None


def _find(rule: Rule, page: Page) -> Iterator[str]:
    if rule.css or rule.xpath:
        yield from _select(page, rule)
    elif rule.json_ld:
        yield from texts_of(search_path(rule.json_ld, find_item(page.json_ld)))
    elif rule.microdata:
        yield from _walk(find_item(page.microdata), rule.microdata.split("."))
    elif rule.open_graph:
        yield from page.open_graph.get(rule.open_graph, [])
    elif rule.script:
        yield from texts_of(search_path(rule.script.path, _read_script(page, rule.script)))
    elif rule.json_:
        yield from texts_of(search_path(rule.json_, page.json))
    elif rule.known:
        known = {"page_url": page.base, "listing_name": page.context.name, "listing_url": page.context.url}
        yield known[rule.known]
    elif rule.value:
        yield rule.value


def _select(page: Page, rule: Rule) -> Iterator[str]:
    try:
        found = page.selector.css(rule.css) if rule.css else page.selector.xpath(rule.xpath or "")
    except ValueError as error:  # such as a namespace that is not declared
        raise LookError(str(error).splitlines()[0]) from error
    for each in found[:MAX_TEXTS]:
        root = each.root
        yield element_text(root) if hasattr(root, "tag") else str(root)


def _walk(item: Any, names: list[str]) -> Iterator[str]:
    if not names:
        if isinstance(item, str):
            yield item
    elif isinstance(item, dict):
        for each in item.get(names[0], [])[:MAX_PROPERTIES]:
            yield from _walk(each, names[1:])


def _read_script(page: Page, script: Script) -> Any:
    for element in page.selector.css(script.css)[:MAX_SCRIPTS]:
        text = element.root if isinstance(element.root, str) else str(element.xpath("string()").get(""))
        if script.after is None:
            value = parse_json(text)
        else:
            found = _search(script.after, text)
            value = find_json(text, found.end()) if found else None
        if value is not None:
            return value
    return None


def _match(pattern: str, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if found := _search(pattern, text):
            yield (found[1] if found.re.groups else found[0]) or ""


def _search(pattern: str, text: str) -> "regex.Match[str] | None":
    try:
        return regex.search(pattern, text, timeout=SECONDS)
    except TimeoutError as error:
        raise LookError(f"the expression {pattern!r} takes more than {SECONDS:g} s") from error


def _divide(text: str, by: int) -> str:
    try:
        return str(Decimal(text) / by)
    except InvalidOperation:
        return text
