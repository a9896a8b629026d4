"""What the encoders of one space make of a catalog: vectors of its pictures, of its titles and of its words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.engine.space import EmbeddingSpace, Parts
from sosie.engine.text import MAX_SENTENCE
from sosie.training.errors import EvaluationError
from sosie.training.evaluation.ranking import Places
from sosie.training.evaluation.towers import Towers
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.pictures import BATCH, read_pictures

WORDS = "words"
"""The part that the indexer fills with what the shop says of a product."""
TOLD_EVERY = 1000
"""Pictures between two lines about how far it is."""


@dataclass(frozen=True)
class EncodedCatalog:
    """A catalog as one space sees it.

    `pictures` [n, size] are the parts that its n pictures fill, at `paths`; `owners` [n], ascending, the products that
    they show, as places in `goods` and as rows of `titles` and `words` [products, size]: the parts that the title fills
    as a question, and the part `words` of a row, None where the space has none. Products without a usable picture are
    left out.
    """

    space: EmbeddingSpace
    goods: tuple[Goods, ...]
    paths: tuple[str, ...]
    owners: Places
    pictures: dict[str, Floats]
    titles: Parts
    words: Floats | None

    def rows(self, *, with_words: bool) -> Floats:
        """The vectors [n, size] that the index would hold."""
        parts = dict(self.pictures)
        if with_words and self.words is not None:
            parts[WORDS] = self.words[self.owners]
        return self.space.assemble(parts)


def encode_catalog(
    towers: Towers,
    goods: Sequence[Goods],
    images: Path,
    *,
    report: Callable[[str], None],
    tell: Callable[[str], None],
) -> EncodedCatalog:
    """Runs both encoders over a catalog; pictures that cannot be used are reported and left out.

    Raises EvaluationError where fewer than two pictures are left.
    """
    wanted = [(place, path) for place, product in enumerate(goods) for path in product.pictures]
    tell(f"encoding {len(wanted):,} pictures of {len(goods):,} products")
    used: list[int] = []
    pieces: list[Parts] = []
    for batch in read_pictures(images, [path for _, path in wanted], towers.image_input, report):
        if batch.places:
            pieces.append(towers.encode_pictures(batch.pictures))
            used.extend(batch.places)
        if batch.done % TOLD_EVERY < BATCH:
            tell(f"{batch.done:,} of {len(wanted):,} pictures encoded")
    if len(used) < 2:  # noqa: PLR2004  # one to ask with, one to find
        raise EvaluationError(f"needs at least 2 pictures that can be read, found {len(used)} in {images}")
    shown, owners = np.unique([wanted[place][0] for place in used], return_inverse=True)
    kept = tuple(goods[place] for place in shown)
    tell(f"encoding what the shop says of {len(kept):,} products")
    said = towers.encode_sentences([product.sentences()[0] for product in kept])
    return EncodedCatalog(
        towers.space,
        kept,
        tuple(wanted[place][1] for place in used),
        owners.astype(np.int64),
        {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]},
        towers.encode_sentences([product.title[:MAX_SENTENCE] for product in kept]),
        said.get(WORDS),
    )
