"""How much of what exact search finds a live index finds.

recall@k is the share of the index's first k whose inner product with the question reaches that of the k-th best row
(Aumüller, Bernhardsson and Faithfull 2020, ANN-Benchmarks, their recall by distance): rows that tie are as good as one
another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from sosie.engine.space import EmbeddingSpace, build_query
from sosie.engine.store import Filter, VectorStore
from sosie.training.errors import EvaluationError
from sosie.training.evaluation.bootstrap import Estimate, estimate_means
from sosie.training.evaluation.encoding import WORDS
from sosie.training.heads import Floats

DEPTHS = (10, 100)
MAX_ROWS = 50_000
"""Rows that are fetched: 50,000 of 1,400 numbers take 280 MB."""
QUESTIONS = 200
TIMEOUT = 60.0
"""Seconds, for each request."""

_CHUNK = 256
_TOLERANCE = 1e-5  # of inner products that the index and numpy add up in another order


@dataclass(frozen=True)
class IndexRecall:
    """`estimates` are {question: {recall@k: ...}} for questions by pictures and by words.

    The index holds `rows`, of which `fetched` were compared; where that is less, recall may be lower than it seems.
    """

    space: str
    rows: int
    fetched: int
    questions: int
    estimates: dict[str, dict[str, Estimate]]


async def measure_recall(
    store: VectorStore, keys: Sequence[str], *, seed: int, tell: Callable[[str], None]
) -> IndexRecall:
    """Asks a store with its own rows, by the space's default weights; `keys` are those of the catalog's pictures.

    Raises EvaluationError where it holds none of them, and what the store raises.
    """
    space = await store.space(timeout=TIMEOUT)
    held = await store.count(timeout=TIMEOUT)
    tell(f"fetching the vectors of {min(len(keys), MAX_ROWS):,} pictures from the index")
    rows = await _fetch(store, keys[:MAX_ROWS])
    if not rows:
        raise EvaluationError(
            f"the index holds {held:,} rows, and none of this catalog's pictures: give the catalog that was indexed"
        )
    names = sorted(rows)
    drawn = np.random.default_rng(seed).permutation(len(names))[:QUESTIONS]
    sides: dict[str, list[Floats]] = {"image": [], "words": []}
    for name in (names[place] for place in np.sort(drawn)):
        for side, vector in _ask_about(space, rows[name]).items():
            sides[side].append(vector)
    estimates = {}
    for side, vectors in sides.items():
        if vectors:
            tell(f"asking the index {len(vectors):,} questions by {side}")
            estimates[side] = await _measure(store, rows, np.stack(vectors), seed)
    return IndexRecall(space.name, held, len(rows), len(drawn), estimates)


def _ask_about(space: EmbeddingSpace, row: Floats) -> dict[str, Floats]:
    """Questions by the picture of a row, and by its words alone, as far as the row fills them."""
    parts = space.split(row)
    words = {WORDS: parts.pop(WORDS)} if WORDS in parts else {}
    asked = {}
    if any(part.image_weight > 0 for part in space.parts if part.name in parts):
        asked["image"] = build_query(space, image=parts).vector
    if words:
        asked["words"] = build_query(space, text=words, weights={WORDS: 1.0}).vector
    return asked


async def _measure(store: VectorStore, rows: dict[str, Floats], questions: Floats, seed: int) -> dict[str, Estimate]:
    found = []
    for question in questions:
        matches = await store.search(question, limit=DEPTHS[-1], filter=Filter(), timeout=TIMEOUT)
        found.append([match.key for match in matches])
    # What it found beyond the catalog's own rows joins what it is compared with.
    rows |= await _fetch(store, sorted({key for keys in found for key in keys} - rows.keys()))
    places = {key: place for place, key in enumerate(rows)}
    similarity = questions @ np.stack(list(rows.values())).T
    best = -np.sort(-similarity, axis=1)
    columns = {}
    for depth in (depth for depth in DEPTHS if depth <= len(rows)):
        hits = []
        for question, keys in enumerate(found):
            reached = similarity[question, [places[key] for key in keys[:depth] if key in places]]
            limit = best[question, depth - 1] - _TOLERANCE * max(1.0, abs(best[question, 0]))
            hits.append(float((reached >= limit).sum()) / depth)
        columns[f"recall@{depth}"] = hits
    if not columns:
        return {}
    values = np.array(list(columns.values())).T
    return dict(zip(columns, estimate_means(values, np.arange(len(values)), seed=seed), strict=True))


async def _fetch(store: VectorStore, keys: Sequence[str]) -> dict[str, Floats]:
    rows: dict[str, Floats] = {}
    for start in range(0, len(keys), _CHUNK):
        rows |= await store.fetch(keys[start : start + _CHUNK], timeout=TIMEOUT)
    return rows
