"""Doubles of what costs a server, small enough to read. They pass the contract tests that the real ones pass."""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from sosie.engine.errors import EngineError, NoIndexError, SpaceMismatchError
from sosie.engine.inference import Classifier, Encoder, ImageInput, Pictures, ServedModel, TextInput, Tokens
from sosie.engine.probing import Health, probe
from sosie.engine.space import EmbeddingSpace, Part, Parts, Vector
from sosie.engine.store import Digests, Filter, Match, Row

FAKE_SPACE = EmbeddingSpace(
    name="fake-000000000001",
    parts=(
        Part("look", 12, image_weight=1.0),
        Part("colour", 3, image_weight=0.5),
        Part("meaning", 8, text_weight=0.5),
        Part("words", 8, text_weight=1.0),
    ),
    label_part="meaning",
    label_scale=10.0,
)


def unit(vectors: npt.ArrayLike) -> Vector:
    """Vectors, [..., size], at length 1."""
    array = np.asarray(vectors, np.float32)
    return np.asarray(array / np.linalg.norm(array, axis=-1, keepdims=True).clip(1e-9), np.float32)


class FakeEncoder:
    """Looks at a 2x2 miniature and the mean colour of a picture, and hashes the tokens of a sentence."""

    def __init__(self, space: EmbeddingSpace = FAKE_SPACE, tokenizer_sha256: str = "") -> None:
        self.space = space
        self.image_input = ImageInput(size=8)
        self.text_input = TextInput(max_tokens=16, tokenizer_sha256=tokenizer_sha256)
        self.pictures_encoded = 0
        self.texts_encoded = 0

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        self.pictures_encoded += len(pictures)
        light = pictures.astype(np.float32) / 255 + 0.01
        miniature = light.reshape(len(pictures), 2, 4, 2, 4, 3).mean((2, 4)).reshape(len(pictures), 12)
        colour = light.mean((1, 2))
        brightness = np.repeat(colour.mean(1, keepdims=True), 8, axis=1) * np.arange(1, 9)
        return {"look": unit(miniature), "colour": unit(colour), "meaning": unit(brightness)}

    async def encode_texts(self, tokens: Tokens, *, timeout: float) -> Parts:
        self.texts_encoded += len(tokens)
        vectors = unit([_hash_vector(row[row != 0]) for row in tokens])
        return {"meaning": vectors, "words": vectors}


def _hash_vector(tokens: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    vector = np.zeros(8)
    for token in tokens:
        digest = hashlib.sha256(int(token).to_bytes(8, "big")).digest()
        vector += np.frombuffer(digest[:8], np.uint8) / 255 - 0.5
    return vector


class FakeStore:
    """A VectorStore in memory: exact, and nothing survives it."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.writes = 0
        self._space: EmbeddingSpace | None = None

    async def space(self, *, timeout: float) -> EmbeddingSpace:
        if self._space is None:
            raise NoIndexError("there is no collection")
        return self._space

    async def probe(self, *, timeout: float) -> EmbeddingSpace:
        return await self.space(timeout=timeout)

    async def create(self, space: EmbeddingSpace, *, timeout: float) -> None:
        if self._space is not None and self._space.name != space.name:
            raise SpaceMismatchError("fake", self._space.name, space.name)
        self._space = space

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        await self.space(timeout=timeout)
        self.writes += len(rows)
        self.rows.update({row.key: row for row in rows})

    async def flush(self, *, timeout: float) -> None:
        await self.space(timeout=timeout)

    async def is_settled(self, *, timeout: float) -> bool:
        await self.space(timeout=timeout)
        return True

    async def delete(self, keys: Sequence[str], *, timeout: float) -> None:
        await self.space(timeout=timeout)
        for key in keys:
            self.rows.pop(key, None)

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        await self.space(timeout=timeout)
        matches = [
            Match(
                row.key,
                row.product_key,
                row.position,
                row.pictures,
                float(vector @ row.vector),
                partial(bytes, row.payload),
            )
            for row in self.rows.values()
            if passes(row, filter)
        ]
        return sorted(matches, key=lambda match: -match.dot)[:limit]

    async def fetch(self, keys: Sequence[str], *, timeout: float) -> dict[str, Vector]:
        await self.space(timeout=timeout)
        return {key: self.rows[key].vector for key in keys if key in self.rows}

    async def first_picture(self, product_key: str, *, timeout: float) -> str | None:
        await self.space(timeout=timeout)
        found = [row for row in self.rows.values() if row.product_key == product_key]
        return min(found, key=lambda row: row.position).key if found else None

    async def digests(self, keys: Sequence[str], *, timeout: float) -> dict[str, Digests]:
        await self.space(timeout=timeout)
        return {key: Digests(self.rows[key].content, self.rows[key].meta) for key in keys if key in self.rows}

    async def count(self, *, timeout: float) -> int:
        await self.space(timeout=timeout)
        return len(self.rows)

    async def close(self) -> None:
        pass


def passes(row: Row, filter: Filter) -> bool:
    """Whether a row is what a filter asks for: the oracle of the contract tests."""
    facets = row.facets
    price = facets.price_micros
    return all(
        (
            not filter.shops or facets.shop in filter.shops,
            not filter.brands or facets.brand.casefold() in [brand.casefold() for brand in filter.brands],
            facets.category_path[: len(filter.category_prefix)] == filter.category_prefix,
            filter.currency is None or facets.currency == filter.currency,
            filter.min_price_micros is None or (price is not None and price >= filter.min_price_micros),
            filter.max_price_micros is None or (price is not None and price <= filter.max_price_micros),
            not filter.in_stock or facets.in_stock,
            filter.attributes.items() <= facets.attributes.items(),
            not filter.product_keys or row.product_key in filter.product_keys,
            row.product_key not in filter.other_than,
        )
    )


class FakeClassifier:
    """Says how red, green and blue a picture is."""

    label_set = "hue"
    labels = ("red", "green", "blue")
    image_input = ImageInput(size=8)

    async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
        light = pictures.astype(np.float32).mean((1, 2)) + 1
        return np.asarray(light / light.sum(1, keepdims=True), np.float32)


class FakeModels:
    """A model server with these; `error` is what asking it raises, `next` what it will have when asked again."""

    def __init__(self, encoders: Sequence[Encoder], classifiers: Sequence[Classifier] = ()) -> None:
        self.encoders = {encoder.space.name: encoder for encoder in encoders}
        self.classifiers = {classifier.label_set: classifier for classifier in classifiers}
        self.error: EngineError | None = None
        self.next: FakeModels | None = None

    async def again(self, *, timeout: float) -> "FakeModels":
        if self.error is not None:
            raise self.error
        return self.next or self

    async def probe(self, *, timeout: float) -> Health:
        if self.error is not None:
            return Health(dict.fromkeys(self.encoders, self.error), dict.fromkeys(self.classifiers, self.error))
        return await probe(self.encoders, self.classifiers, timeout=timeout)

    async def statistics(self, *, timeout: float) -> list[ServedModel]:
        return []

    async def close(self) -> None:
        pass


def write_fake_tokenizer(repository: Path) -> str:
    """A model repository with the tokenizer.json of a few words; gives its SHA-256 digest."""
    words = ["[PAD]", "[UNK]", "red", "green", "blue", "black", "white", "shoe", "hat", "striped"]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]")  # noqa: S106
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    source = tokenizer.to_str().encode()
    (repository / "fake_text").mkdir(parents=True)
    (repository / "fake_text" / "tokenizer.json").write_bytes(source)
    return hashlib.sha256(source).hexdigest()
