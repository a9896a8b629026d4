"""From tasks to rows: decodes pictures in threads and asks the encoders for vectors, many at a time."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sosie.engine.errors import BackendError, InputError
from sosie.engine.image import prepare
from sosie.engine.inference import Encoder, Tokens
from sosie.engine.space import EmbeddingSpace, Parts, Vector
from sosie.engine.store import Row
from sosie.indexer.encoding.twins import Twins, pixel_digest
from sosie.indexer.pictures import PictureError, PictureFolder, picture_digest
from sosie.indexer.plan import Task
from sosie.indexer.recipe import WORDS, Recipe
from sosie.indexer.rejects import Reject
from sosie.indexer.report import Report
from sosie.indexer.retries import Retrier

MAX_SENTENCES = 32
"""In one request: all are padded to the longest, so a few of like length are encoded faster than many."""

_DECODED_TOGETHER = 4  # by one thread: to hand pictures over one by one costs a tenth of a small one's decoding

UNIT_TOLERANCE = 0.01
"""How far a part's length may be from 1; half precision on a GPU leaves 0.001."""


class Tokenize(Protocol):
    """What the job needs of a tokenizer."""

    def encode(self, sentences: Sequence[str]) -> Tokens:
        """Token ids, [n, length]."""
        ...


@dataclass(frozen=True)
class _Ready:
    """A task with what the encoders need: a picture, and the digest of its pixels, unless its image parts are kept."""

    task: Task
    content: str
    pixels: npt.NDArray[np.uint8] | None = None
    digest: bytes = b""


class Embedder:
    """Makes rows of tasks. Batches may be embedded side by side."""

    def __init__(
        self,
        *,
        encoder: Encoder,
        tokenizer: Tokenize,
        folder: PictureFolder,
        recipe: Recipe,
        pool: Executor,
        retrier: Retrier,
        report: Report,
        timeout: float,
        twins: Twins | None = None,
    ) -> None:
        """`twins` are the pictures that were encoded before; without, those of this embedder alone."""
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._folder = folder
        self._recipe = recipe
        self._pool = pool
        self._retrier = retrier
        self._report = report
        self._timeout = timeout
        self._twins = twins or Twins()

    async def embed(self, tasks: Sequence[Task]) -> tuple[list[Row], list[Reject]]:
        """The rows of a batch, and its pictures that cannot be decoded or got an unusable vector.

        Raises the encoder's errors once retries do not help.
        """
        with self._report.times.measure("decode"):
            ready, rejects = await self._decode(tasks)
        if not ready:
            return [], rejects
        with self._report.times.measure("encode"):
            vectors = await self._encode(ready)
        rows = []
        for each, vector in zip(ready, vectors, strict=True):
            listing = each.task.listing
            problem = find_vector_problem(self._encoder.space, vector)
            if problem:
                rejects.append(listing.reject("vector", problem))
            else:
                rows.append(listing.row(vector, each.content))
        return rows, rejects

    async def _decode(self, tasks: Sequence[Task]) -> tuple[list[_Ready], list[Reject]]:
        loop = asyncio.get_running_loop()
        fresh = [task for task in tasks if task.kept is None]
        few = [fresh[start : start + _DECODED_TOGETHER] for start in range(0, len(fresh), _DECODED_TOGETHER)]
        results = await asyncio.gather(*(loop.run_in_executor(self._pool, self._prepare_all, some) for some in few))
        ready = [_Ready(task, task.content) for task in tasks if task.kept is not None]
        rejects = []
        for result in chain.from_iterable(results):
            if isinstance(result, Reject):
                rejects.append(result)
            else:
                ready.append(result)
        return ready, rejects

    def _prepare_all(self, tasks: Sequence[Task]) -> list[_Ready | Reject]:
        """Runs in a thread."""
        return [self._prepare(task) for task in tasks]

    def _prepare(self, task: Task) -> _Ready | Reject:
        """The digest is of the very bytes that are decoded: the file may change while we run."""
        listing = task.listing
        try:
            data = self._folder.read(listing.path)
            pixels = prepare(data, self._encoder.image_input)
        except PictureError as error:
            return listing.reject("path", str(error))
        except InputError as error:
            return listing.reject("image", f"{error.problem}: {listing.path!r}")
        return _Ready(task, self._recipe.content(picture_digest(data), listing.words), pixels, pixel_digest(pixels))

    async def _encode(self, ready: Sequence[_Ready]) -> Vector:
        """Vectors, [n, size], in the order of `ready`."""
        vectors, words = await asyncio.gather(self._encode_images(ready), self._encode_words(ready))
        for part, place in self._encoder.space.slices():
            if part.name == WORDS:
                vectors[:, place] = 0.0 if words is None else words
        return vectors

    async def _encode_images(self, ready: Sequence[_Ready]) -> Vector:
        """Vectors without words, or with those that a kept vector had."""
        space = self._encoder.space
        vectors = np.zeros((len(ready), space.size), np.float32)
        for place, each in enumerate(ready):
            if each.task.kept is not None:
                vectors[place] = each.task.kept
        fresh = {place: each for place, each in enumerate(ready) if each.pixels is not None}
        found = await self._encode_fresh(list(fresh.values()))
        for place, each in fresh.items():
            vectors[place] = found[each.digest]
        return vectors

    async def _encode_fresh(self, ready: Sequence[_Ready]) -> dict[bytes, Vector]:
        """Vectors without the words of these pictures, by the digests of their pixels: each is encoded once."""
        pictures = {each.digest: each for each in ready}
        mine, found, coming = self._twins.claim(list(pictures))
        try:
            found |= await self._twins.find_indexed(mine, retrier=self._retrier, timeout=self._timeout)
            missing = [digest for digest in mine if digest not in found]
            encoded = await self._encode_pictures([pictures[digest] for digest in missing])
            found |= encoded
        finally:
            for digest in mine:
                self._twins.settle(digest, self._usable(found.get(digest)))
        await self._twins.remember(
            {digest: (pictures[digest].task.listing.key, pictures[digest].content) for digest in encoded}
        )
        late = {digest: await vector for digest, vector in coming.items()}
        failed = [pictures[digest] for digest, vector in late.items() if vector is None]
        found |= {digest: vector for digest, vector in late.items() if vector is not None}
        found |= await self._encode_pictures(failed)
        self._report.shared += len(ready) - len(encoded) - len(failed)
        return found

    def _usable(self, vector: Vector | None) -> Vector | None:
        usable = vector is not None and find_vector_problem(self._encoder.space, vector) is None
        return vector if usable else None

    async def _encode_pictures(self, ready: Sequence[_Ready]) -> dict[bytes, Vector]:
        if not ready:
            return {}
        pictures = np.stack([each.pixels for each in ready if each.pixels is not None])
        parts = await self._retrier.call(lambda: self._encoder.encode_images(pictures, timeout=self._timeout))
        _check_sizes(self._encoder.space, parts)
        vectors = self._encoder.space.assemble(parts)
        return {each.digest: vector for each, vector in zip(ready, vectors, strict=True)}

    async def _encode_words(self, ready: Sequence[_Ready]) -> Vector | None:
        """The words part, [n, size]; each different sentence is encoded once."""
        if not self._recipe.with_words:
            return None
        sentences = sorted({each.task.listing.words for each in ready}, key=len)
        chunks = [sentences[start : start + MAX_SENTENCES] for start in range(0, len(sentences), MAX_SENTENCES)]
        encoded = np.concatenate(await asyncio.gather(*(self._encode_sentences(chunk) for chunk in chunks)))
        rows = {sentence: row for row, sentence in enumerate(sentences)}
        words: Vector = encoded[[rows[each.task.listing.words] for each in ready]]
        return words

    async def _encode_sentences(self, sentences: Sequence[str]) -> Vector:
        tokens = await asyncio.get_running_loop().run_in_executor(self._pool, self._tokenizer.encode, sentences)
        parts = await self._retrier.call(lambda: self._encoder.encode_texts(tokens, timeout=self._timeout))
        _check_sizes(self._encoder.space, parts)
        if WORDS not in parts:
            raise BackendError(f"the text encoder of {self._encoder.space.name} gives no part {WORDS!r}")
        return parts[WORDS]


def find_vector_problem(space: EmbeddingSpace, vector: Vector) -> str | None:
    """What is wrong with a row's vector, if anything: each part must be finite and of unit length, or all zero."""
    for part, place in space.slices():
        length = float(np.linalg.norm(vector[place]))
        if not (length == 0 or abs(length - 1) <= UNIT_TOLERANCE):  # NaN fails too
            return f"is unusable: its part {part.name!r} has the length {length:g}, not 1"
    return None


def _check_sizes(space: EmbeddingSpace, parts: Parts) -> None:
    sizes = {part.name: part.size for part in space.parts}
    for name, values in parts.items():
        if values.shape[-1] != sizes.get(name):
            raise BackendError(
                f"an encoder of {space.name} gave the part {name!r} with {values.shape[-1]} numbers, "
                f"its space says {sizes.get(name, 'there is no such part')}: build the models again"
            )
