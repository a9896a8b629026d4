"""Opens what the job stands on: the encoder of the right space, its tokenizer, and the collection."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sosie.engine.errors import NoIndexError, SpaceMismatchError
from sosie.engine.inference import Encoder
from sosie.engine.milvus import MilvusStore
from sosie.engine.store import VectorStore
from sosie.engine.text import Tokenizer
from sosie.engine.triton import TritonModels


class SetupError(Exception):
    """What was asked for does not fit together; the message says on one line what to change."""


@dataclass(frozen=True)
class Backends:
    """Where Triton and the index are, and which of what they hold is meant."""

    triton: str
    store: str
    collection: str
    space: str | None = None


@asynccontextmanager
async def open_backends(backends: Backends, *, timeout: float) -> AsyncIterator[tuple[Encoder, VectorStore]]:
    """The encoder to use, and the store with a collection in its space, made if need be.

    Raises SetupError where the space is unclear or another than the collection's, and the engine's errors where Triton
    or the store cannot be reached.
    """
    models = await TritonModels.connect(backends.triton, timeout=timeout)
    store = MilvusStore(backends.store, backends.collection)
    try:
        encoder = await choose_encoder(models.encoders, store, backends, timeout=timeout)
        yield encoder, store
    finally:
        await store.close()
        await models.close()


async def choose_encoder(
    encoders: Mapping[str, Encoder], store: VectorStore, backends: Backends, *, timeout: float
) -> Encoder:
    """The served encoder that is asked for, else that of the collection's space, else the only one.

    Afterwards the collection is there, in the encoder's space. Raises SetupError.
    """
    served = ", ".join(sorted(encoders)) or "none"
    try:
        indexed = (await store.space(timeout=timeout)).name
    except NoIndexError:
        indexed = None
    wanted = backends.space or (indexed if indexed in encoders else None)
    if wanted is None and len(encoders) == 1:
        (wanted,) = encoders
    if wanted is None and indexed is None:
        raise SetupError(
            f"Triton at {backends.triton} serves several embedding spaces or none: {served}; name one by --space"
        )
    encoder = encoders.get(wanted or "")
    try:
        if wanted is None:
            raise SpaceMismatchError(backends.collection, indexed or "", served)
        if encoder is None:
            raise SetupError(f"Triton at {backends.triton} does not serve the space {wanted!r}; it serves: {served}")
        await store.create(encoder.space, timeout=timeout)
    except SpaceMismatchError as error:
        raise SetupError(f"{error}; a new index beside it takes another --collection") from error
    return encoder


def find_tokenizer(models: Path, encoder: Encoder) -> Tokenizer:
    """The tokenizer that the text encoder was made with, found by its digest in the model repository.

    Raises SetupError where it is not there.
    """
    wanted = encoder.text_input.tokenizer_sha256
    candidates = sorted([*models.glob("*/tokenizer.json"), *models.glob("*/*/tokenizer.json")])
    for path in candidates:
        source = path.read_bytes()
        if hashlib.sha256(source).hexdigest() == wanted:
            return Tokenizer(source, encoder.text_input)
    raise SetupError(
        f"none of the {len(candidates)} tokenizer.json in {models} is that of the space {encoder.space.name}: "
        "give the served model repository by --models, or leave the words out by --without-words"
    )
