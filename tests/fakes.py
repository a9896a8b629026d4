"""Doubles of what costs a server, small enough to read. They pass the contract tests that the real ones pass."""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from sosie.engine.errors import EngineError, InputError, NoIndexError, SpaceMismatchError
from sosie.engine.generations import Collection, Generation, Layout, State
from sosie.engine.inference import Classifier, Encoder, ImageInput, Pictures, ServedModel, TextInput, Tokens
from sosie.engine.probing import Health, probe
from sosie.engine.space import EmbeddingSpace, Part, Parts, Vector
from sosie.engine.store import Digests, Filter, Held, Match, Row

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
        self.max_pictures = 32
        self.max_sentences = 32
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


@dataclass
class FakeCollection:
    """What a FakeStore keeps of a collection."""

    collection: Collection
    layout: Layout
    rows: dict[str, Row] = field(default_factory=dict)


@dataclass
class FakeServer:
    """What the views of one FakeStore share: its collections by name, and the one of each state but ORPHAN."""

    made: int = 0
    writes: int = 0
    collections: dict[str, FakeCollection] = field(default_factory=dict)
    marks: dict[State, str] = field(default_factory=dict)

    def make(self, space: EmbeddingSpace, layout: Layout) -> Collection:
        self.made += 1
        collection = Collection(f"fake_{self.made}", space, str(self.made))
        self.collections[collection.name] = FakeCollection(collection, layout)
        return collection

    def state(self, name: str) -> State:
        return next((state for state in State if self.marks.get(state) == name), State.ORPHAN)


class FakeStore:
    """A GenerationStore in memory: exact, and nothing survives it."""

    def __init__(self) -> None:
        self.server = FakeServer()
        self._name: str | None = None

    @property
    def rows(self) -> dict[str, Row]:
        """Those of the live collection, or of the one that this store is at."""
        return self._known().rows if self._name or State.LIVE in self.server.marks else {}

    @property
    def writes(self) -> int:
        """Rows that were ever written, to whichever collection."""
        return self.server.writes

    async def live(self, *, timeout: float) -> Collection:
        return self._known().collection

    def at(self, name: str) -> "FakeStore":
        bound = copy.copy(self)
        bound._name = name
        return bound

    async def generations(self, *, timeout: float) -> list[Generation]:
        server = self.server
        listed = [
            Generation(known.collection, server.state(name), len(known.rows))
            for name, known in server.collections.items()
        ]
        return sorted(listed, key=lambda each: (list(State).index(each.state), each.collection.name))

    async def begin(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> Collection:
        collection = self.server.make(space, layout or Layout())
        self.server.marks[State.BUILDING] = collection.name
        return collection

    async def switch(self, name: str, *, timeout: float) -> None:
        self.at(name)._known()
        marks = self.server.marks
        if marks.get(State.BUILDING) == name:
            del marks[State.BUILDING]
        if State.LIVE in marks and marks[State.LIVE] != name:
            marks[State.PREVIOUS] = marks[State.LIVE]
        marks[State.LIVE] = name

    async def drop(self, name: str, *, timeout: float) -> None:
        self.at(name)._known()
        if self.server.marks.get(State.LIVE) == name:
            raise InputError("name", f"{name} is live: switch to another collection first")
        del self.server.collections[name]
        self.server.marks = {state: marked for state, marked in self.server.marks.items() if marked != name}

    async def space(self, *, timeout: float) -> EmbeddingSpace:
        return self._known().collection.space

    async def probe(self, *, timeout: float) -> EmbeddingSpace:
        return await self.space(timeout=timeout)

    async def create(self, space: EmbeddingSpace, *, layout: Layout | None = None, timeout: float) -> None:
        if self._name is None and State.LIVE not in self.server.marks:
            self.server.marks[State.LIVE] = self.server.make(space, layout or Layout()).name
        present = await self.space(timeout=timeout)
        if present.name != space.name:
            raise SpaceMismatchError("fake", present.name, space.name)

    async def upsert(self, rows: Sequence[Row], *, timeout: float) -> None:
        self._known().rows.update({row.key: row for row in rows})
        self.server.writes += len(rows)

    async def flush(self, *, timeout: float) -> None:
        self._known()

    async def is_settled(self, *, timeout: float) -> bool:
        self._known()
        return True

    async def delete(self, keys: Sequence[str], *, timeout: float) -> None:
        rows = self._known().rows
        for key in keys:
            rows.pop(key, None)

    async def search(self, vector: Vector, *, limit: int, filter: Filter, timeout: float) -> list[Match]:
        matches = [
            Match(
                row.key,
                row.product_key,
                row.position,
                row.pictures,
                float(vector @ row.vector),
                partial(bytes, row.payload),
            )
            for row in self._known().rows.values()
            if passes(row, filter)
        ]
        return sorted(matches, key=lambda match: -match.dot)[:limit]

    async def fetch(self, keys: Sequence[str], *, timeout: float) -> dict[str, Vector]:
        rows = self._known().rows
        return {key: rows[key].vector for key in keys if key in rows}

    async def first_picture(self, product_key: str, *, timeout: float) -> str | None:
        found = [row for row in self._known().rows.values() if row.product_key == product_key]
        return min(found, key=lambda row: row.position).key if found else None

    async def digests(self, keys: Sequence[str], *, timeout: float) -> dict[str, Digests]:
        rows = self._known().rows
        return {key: Digests(rows[key].content, rows[key].meta) for key in keys if key in rows}

    async def payloads(self, keys: Sequence[str], *, timeout: float) -> dict[str, bytes]:
        rows = self._known().rows
        return {key: rows[key].payload for key in keys if key in rows}

    async def page(self, *, after: str = "", limit: int, filter: Filter | None = None, timeout: float) -> list[Held]:
        rows = self._known().rows
        keys = sorted(key for key in rows if key > after and passes(rows[key], filter or Filter()))[:limit]
        return [Held(key, rows[key].product_key, rows[key].content, rows[key].meta) for key in keys]

    async def count(self, *, filter: Filter | None = None, timeout: float) -> int:
        return sum(passes(row, filter or Filter()) for row in self._known().rows.values())

    async def close(self) -> None:
        pass

    def _known(self) -> FakeCollection:
        name = self._name or self.server.marks.get(State.LIVE)
        if name not in self.server.collections:
            raise NoIndexError(f"there is no collection {name or ''}".rstrip())
        return self.server.collections[name]


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
