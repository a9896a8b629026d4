"""A set of questions with the products that answer them: what a rebuilt collection is judged by before it goes live.

A file of JSON Lines, a question each, with a sentence, a picture of the pictures' folder, or both:

    {"text": "suede boot", "products": [{"shop": "atelier-nord", "product_id": "AT-00000"}]}
    {"image": "boots/00000-1.jpg", "products": [{"shop": "atelier-nord", "product_id": "AT-00000"}]}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.engine.store import product_key

MAX_QUESTIONS = 10_000
_FIELDS = {"text", "image", "products"}


class QuestionsError(Exception):
    """The file is not a set of questions; the message says where and why."""


@dataclass(frozen=True)
class Question:
    """`text` and `image` are empty where the question has none; `products` are the keys of those that answer it."""

    text: str
    image: str
    products: frozenset[str]


def read_questions(path: Path) -> list[Question]:
    """Raises QuestionsError, also where there are none or more than 10,000, and OSError."""
    questions = []
    with path.open(encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    questions.append(_parse(line, f"{path}, line {number}"))
                if len(questions) > MAX_QUESTIONS:
                    raise QuestionsError(f"{path} has more than {MAX_QUESTIONS:,} questions: draw some of them")
        except UnicodeDecodeError as error:
            raise QuestionsError(f"{path} is not UTF-8") from error
    if not questions:
        raise QuestionsError(f"{path} holds no question")
    return questions


def _parse(line: str, place: str) -> Question:
    try:
        raw: Any = json.loads(line)
    except ValueError as error:
        raise QuestionsError(f"{place} is not JSON: {error}") from error
    if not isinstance(raw, dict) or set(raw) - _FIELDS:
        raise QuestionsError(f"{place} is not an object with text, image and products alone")
    text, image = raw.get("text", ""), raw.get("image", "")
    if not (isinstance(text, str) and isinstance(image, str) and (text or image)):
        raise QuestionsError(f"{place} asks nothing: give text, image or both, as strings")
    try:
        products = frozenset(product_key(product["shop"], product["product_id"]) for product in raw["products"])
    except (KeyError, TypeError, AttributeError) as error:
        raise QuestionsError(f"{place}: products must be a list of objects with shop and product_id") from error
    if not products:
        raise QuestionsError(f"{place} names no product that answers it")
    return Question(text, image, products)
