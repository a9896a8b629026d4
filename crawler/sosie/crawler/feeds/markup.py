"""HTML in the texts of feeds, brought to plain text."""

import re
from dataclasses import replace
from html import unescape

from sosie.crawler.drafts import Draft

_BREAK = re.compile(r"<(?:br|/?p|/?div|/?li|/?ul|/?ol|/?tr|/?h[1-6])\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z/!][^<>]*>")  # ends before the next <: an endless tag costs no second look
_MAX_LENGTH = 100_000  # ten times what a description may have


def strip_markup(text: str) -> str:
    r"""The text without tags, with characters for their names; where a block ended a line ends.

    >>> strip_markup("<p>Soft &amp; warm.<br/>For 5 < 10</p>")
    '\nSoft & warm.\nFor 5 < 10\n'
    """
    text = text[:_MAX_LENGTH]
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    if "&" in text:
        text = unescape(text)
        if "<" in text:  # escaped once more, as many exports do
            text = _TAG.sub("", _BREAK.sub("\n", text))
    return text


def unescape_twice(text: str) -> str:
    """A line of text whose & was escaped once too often: a name never holds &amp; itself."""
    return unescape(text) if "&" in text else text


def strip_draft(draft: Draft) -> Draft:
    """The draft with plain texts for its title, brand and description."""
    if not {"<", "&"}.intersection(draft.title + draft.brand + draft.description):
        return draft
    return replace(
        draft,
        title=unescape_twice(draft.title),
        brand=unescape_twice(draft.brand),
        description=strip_markup(draft.description),
    )
