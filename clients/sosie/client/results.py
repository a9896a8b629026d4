"""What the service answers with, as plain immutable values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

# ISO 4217, table A.1
_WITHOUT_MINOR_UNIT = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"


class Availability(StrEnum):
    """Whether a product can be bought now; `UNKNOWN` where the shop does not say."""

    UNKNOWN = "unknown"
    IN_STOCK = "in_stock"
    OUT_OF_STOCK = "out_of_stock"
    PREORDER = "preorder"


@dataclass(frozen=True)
class Price:
    """An exact amount of money. `currency` is ISO 4217. `str` gives e.g. "59.90 EUR"."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        least = 0 if self.currency in _WITHOUT_MINOR_UNIT.split() else 2
        exponent = self.amount.normalize().as_tuple().exponent
        places = max(least, -exponent if isinstance(exponent, int) else 0)
        return f"{self.amount:.{places}f} {self.currency}"


@dataclass(frozen=True)
class Picture:
    """One of a product's pictures. `view` is e.g. "front"; it and `url` may be ""."""

    id: str
    url: str = ""
    view: str = ""


@dataclass(frozen=True, repr=False)
class Product:
    """A product of a shop; what the shop does not say is "" or None. The main picture comes first."""

    shop: str
    product_id: str
    title: str
    brand: str = ""
    category_path: tuple[str, ...] = ()
    price: Price | None = None
    url: str = ""
    pictures: tuple[Picture, ...] = ()
    availability: Availability = Availability.UNKNOWN
    attributes: Mapping[str, str] = field(default_factory=dict, hash=False)
    description: str = ""
    update_time: datetime | None = None

    def __repr__(self) -> str:
        price = f" {self.price}" if self.price else ""
        return f"<Product {self.shop}/{self.product_id} {self.title!r}{price}>"


@dataclass(frozen=True)
class PictureMatch:
    """A picture that fits, 0 to 1."""

    id: str
    url: str
    score: float


@dataclass(frozen=True)
class PartShare:
    """What one part of the embedding gave to a hit's similarity, and that part's cosine alone: -1 to 1 each."""

    part: str
    share: float
    cosine: float


@dataclass(frozen=True, repr=False)
class Hit:
    """A product that fits.

    `score` says how sure it is, 0 to 1, comparable between all questions in one embedding space: at 0.5 a product so
    similar is as likely what was asked for as one drawn by chance. `picture` is the one that fits best, `pictures` all
    that fit (where hits are grouped by product), the best first. `similarity` is the weighted mean of the parts'
    cosines, and `shares`, there where the question asked to explain, sum to it.
    """

    product: Product
    score: float
    picture: PictureMatch
    pictures: tuple[PictureMatch, ...] = ()
    shares: tuple[PartShare, ...] = ()
    similarity: float = 0.0

    def __repr__(self) -> str:
        return f"<Hit {self.score:.3f} {self.product!r} by picture {self.picture.id!r}>"


@dataclass(frozen=True)
class EmbeddingPart:
    """A part of the vector: how many numbers it has, and what it weighed in this call (0: not asked for)."""

    name: str
    size: int
    weight: float


@dataclass(frozen=True)
class EmbeddingSpace:
    """Where the vectors were compared. Scores of different spaces do not compare.

    `category_path` is the category whose default weights were taken, empty where the space's own were.
    """

    name: str
    parts: tuple[EmbeddingPart, ...] = ()
    category_path: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class SearchResult:
    """The answer to a search, the best hit first; no hits where nothing fits. `step_times` are seconds by step."""

    hits: tuple[Hit, ...]
    space: EmbeddingSpace
    step_times: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __repr__(self) -> str:
        best = f", best {self.hits[0].score:.3f} {self.hits[0].product.title!r}" if self.hits else ""
        return f"<SearchResult: {count(len(self.hits), 'hit')}{best}, in {self.space.name}>"


@dataclass(frozen=True)
class LabelScore:
    """A label's probability among those of its set."""

    label: str
    score: float


@dataclass(frozen=True, repr=False)
class Classification:
    """The answer for one label set, the best label first."""

    label_set: str
    labels: tuple[LabelScore, ...]

    def __repr__(self) -> str:
        labels = ", ".join(f"{label.label} {label.score:.3f}" for label in self.labels)
        return f"<Classification {self.label_set}: {labels}>"


@dataclass(frozen=True)
class ClassifyResult:
    """One classification per label set, in the order asked. `space` is where free labels were scored."""

    classifications: tuple[Classification, ...]
    space: EmbeddingSpace
    step_times: Mapping[str, float] = field(default_factory=dict, hash=False)


def count(number: int, noun: str) -> str:
    """A number with its noun, e.g. "1 hit" or "3 hits"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
