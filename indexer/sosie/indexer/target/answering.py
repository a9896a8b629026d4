"""How well a collection answers a set of questions."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from sosie.engine.errors import InputError
from sosie.engine.image import prepare
from sosie.engine.inference import Encoder
from sosie.engine.search import Wanted, find
from sosie.engine.space import Parts, Query, build_query
from sosie.engine.store import VectorStore
from sosie.engine.timing import StepTimes
from sosie.indexer.embedding import Tokenize
from sosie.indexer.pictures import PictureError, PictureFolder
from sosie.indexer.retries import Retrier
from sosie.indexer.target.losses import check_going_on
from sosie.indexer.target.questions import Question, QuestionsError

TOP = 10
"""Products that are looked at in an answer."""

_TOGETHER = 16  # questions at once


@dataclass(frozen=True)
class Collected:
    """A collection that can be asked: what it holds is in the space of its encoder.

    Without a tokenizer only questions without a sentence can be.
    """

    store: VectorStore
    encoder: Encoder
    tokenizer: Tokenize | None


class Examiner:
    """Asks questions as a gateway does, with the space's own weights and without a filter."""

    def __init__(self, *, folder: PictureFolder, pool: Executor, retrier: Retrier, timeout: float) -> None:
        self._folder = folder
        self._pool = pool
        self._retrier = retrier
        self._timeout = timeout

    async def examine(self, collected: Collected, questions: Sequence[Question]) -> Mapping[str, float]:
        """Means over the questions, each 0..1.

        - hit@10: whether one of the first ten products answers it;
        - recall@10: how many of those that answer it are among the first ten, of at most ten;
        - mrr@10: 1 / the place of the first that answers it, 0 where none of the ten does.

        Raises QuestionsError for a picture that cannot be read, and the engine's errors once retries do not help.
        """
        places: list[list[int]] = []
        for start in range(0, len(questions), _TOGETHER):
            check_going_on(self._retrier)
            some = questions[start : start + _TOGETHER]
            places += await asyncio.gather(*(self._find_places(collected, question) for question in some))
        sought = [min(TOP, len(question.products)) for question in questions]
        return {
            "hit@10": float(np.mean([bool(found) for found in places])),
            "recall@10": float(np.mean([len(found) / most for found, most in zip(places, sought, strict=True)])),
            "mrr@10": float(np.mean([1 / found[0] if found else 0.0 for found in places])),
        }

    async def _find_places(self, collected: Collected, question: Question) -> list[int]:
        """Where among the first ten products the right ones are, counted from 1."""
        query = await self._make_query(collected, question)
        found = await find_products(collected.store, query, self._retrier, timeout=self._timeout)
        return [place for place, product in enumerate(found, start=1) if product in question.products]

    async def _make_query(self, collected: Collected, question: Question) -> Query:
        encoder, timeout = collected.encoder, self._timeout
        image: Parts | None = None
        text: Parts | None = None
        if question.image:
            loop = asyncio.get_running_loop()
            pixels = await loop.run_in_executor(self._pool, self._decode, question.image, encoder)
            parts = await self._retrier.call(lambda: encoder.encode_images(pixels, timeout=timeout))
            image = {name: vectors[0] for name, vectors in parts.items()}
        if question.text and collected.tokenizer:
            tokens = collected.tokenizer.encode([question.text])
            parts = await self._retrier.call(lambda: encoder.encode_texts(tokens, timeout=timeout))
            text = {name: vectors[0] for name, vectors in parts.items()}
        return build_query(encoder.space, image=image, text=text)

    def _decode(self, path: str, encoder: Encoder) -> np.ndarray:
        """Runs in a thread."""
        try:
            return prepare(self._folder.read(path), encoder.image_input)[np.newaxis]
        except (PictureError, InputError) as error:
            raise QuestionsError(f"the picture {path!r} of a question cannot be used: {error}") from error


async def find_products(
    store: VectorStore, query: Query, retrier: Retrier, *, timeout: float, top: int = TOP
) -> list[str]:
    """The keys of the nearest products, the nearest first. Raises the store's errors once retries do not help."""
    hits = await retrier.call(lambda: find(store, query, Wanted(top_k=top), timeout=timeout, steps=StepTimes()))
    return [hit.best.product_key for hit in hits]
