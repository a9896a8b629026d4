"""A feed's text cut into lines."""

from collections.abc import Iterator

from sosie.crawler.feeds.errors import FeedError

MAX_LINE = 2**20
"""Characters of a line, and of a row of a table."""


def split_lines(texts: Iterator[str]) -> Iterator[str]:
    """Lines with their ends, which are those of files alone: a text may hold U+2028 and its like.

    Raises FeedError where a line has more than 1,048,576 characters.
    """
    rest = ""
    number = 1
    for text in texts:
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield line + "\n"
            number += 1
        if len(rest) > MAX_LINE:
            raise FeedError(f"has a line of more than {MAX_LINE:,} characters: line {number}")
    if rest:
        yield rest
