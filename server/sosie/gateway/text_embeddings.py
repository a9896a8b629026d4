"""Embeddings of sentences, with those of recent questions kept."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from sosie.engine.space import Parts, Vector
from sosie.gateway.backends import Embedder
from sosie.gateway.call import Call


class TextEmbeddings:
    """Asks the text encoder for what was not asked of late, and keeps the last `entries` sentences' vectors.

    Shops are asked the same few thousand sentences again and again, and labels come with every call. A sentence counts
    with its embedding space, whose name changes with the weights, so nothing here can grow stale. `count` is told the
    number of hits and of misses.
    """

    def __init__(self, entries: int, count: Callable[[int, int], None]) -> None:
        self._entries = entries
        self._count = count
        self._known: OrderedDict[tuple[str, str], dict[str, Vector]] = OrderedDict()

    async def embed(self, embedder: Embedder, sentence: str, call: Call) -> Parts:
        """The parts, [size] each, of one sentence. Raises what the encoder raises."""
        found = self._find(embedder, sentence)
        if found is None:
            self._count(0, 1)
            (found,) = await self._ask(embedder, [sentence], call)
        else:
            self._count(1, 0)
        return found

    async def embed_all(self, embedder: Embedder, sentences: Sequence[str], call: Call) -> Parts:
        """The parts, [sentences, size] each. Raises what the encoder raises."""
        rows = [self._find(embedder, sentence) for sentence in sentences]
        missing = [i for i, row in enumerate(rows) if row is None]
        self._count(len(rows) - len(missing), len(missing))
        if missing:
            asked = await self._ask(embedder, [sentences[i] for i in missing], call)
            for i, row in zip(missing, asked, strict=True):
                rows[i] = row
        complete = [row for row in rows if row is not None]
        return {name: np.stack([row[name] for row in complete]) for name in complete[0]}

    def _find(self, embedder: Embedder, sentence: str) -> dict[str, Vector] | None:
        key = (embedder.space.name, sentence)
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    async def _ask(self, embedder: Embedder, sentences: Sequence[str], call: Call) -> list[dict[str, Vector]]:
        embedder.check()
        with call.steps.measure("tokenize"):
            tokens = embedder.tokenizer.encode(sentences)
        with call.steps.measure("encode_text"):
            parts = await embedder.encoder.encode_texts(tokens, timeout=call.left())
        # Copies: a row of a batch would keep all of the batch in memory.
        rows = [{name: vectors[i].copy() for name, vectors in parts.items()} for i in range(len(sentences))]
        for sentence, row in zip(sentences, rows, strict=True):
            self._known[embedder.space.name, sentence] = row
        while len(self._known) > self._entries:
            self._known.popitem(last=False)
        return rows
