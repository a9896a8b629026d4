"""Teaches the last layers of a clip model's towers themselves: contrastive learning over titles and pictures, on a GPU.

A head can only weigh what frozen towers see; here they learn to see what a catalog's products differ in. The part
`look` becomes another one, for pictures too: the result has to gain for sentences and must not lose for pictures.
"""

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sosie.engine.inference import Pictures
from sosie.training.clip.loading import Loaded
from sosie.training.clip.towers import ImageTower, TextTower
from sosie.training.errors import FitError
from sosie.training.fitting import losses
from sosie.training.fitting.contrast import MAX_LOG_SCALE, SENTENCE_SHARES
from sosie.training.fitting.judging import (
    PictureFinds,
    Places,
    Recall,
    check_families,
    measure_pictures,
    measure_recall,
    split,
)
from sosie.training.fitting.running import seeded_torch
from sosie.training.fitting.sampling import by_product
from sosie.training.goods import Goods
from sosie.training.heads import Floats
from sosie.training.pictures import read_pictures

BATCH = 128
WEIGHT_DECAY = 0.05
PATIENCE = 3
"""Epochs without a better figure on the watched products after which it ends."""
EMBEDDED = 64
"""Pictures or sentences that are embedded at a time while it is judged."""

_TITLE = 1  # its place among Goods.sentences

Tell = Callable[[str], None]
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Recipe:
    """How it is learned; `unfrozen` counts open_clip's layer groups from the end, of which the projection is one.

    `learning_rate` is the peak of the one-cycle schedule. CLIP is usually fine-tuned with 1e-5 (Wortsman et al. 2022).
    """

    unfrozen: int
    device: torch.device
    seed: int
    epochs: int
    batch: int
    learning_rate: float


@dataclass(frozen=True)
class Shown:
    """A catalog as the towers take it.

    `pictures` [n, size, size, 3] show `owners` [n], places in `goods`; `tokens` [products, 4, length] are those of what
    `Goods.sentences` says. Each of `goods` has a picture at least.
    """

    goods: tuple[Goods, ...]
    pictures: Pictures
    owners: Places
    tokens: Tokens


@dataclass(frozen=True)
class Outcome:
    """Whether the network that was taught is to be used; `verdict` says in a sentence why."""

    gained: bool
    verdict: str
    figures: dict[str, float]


def choose_device(asked: str | None) -> torch.device:
    """The GPU, unless another device is asked for by name. Raises FitError where there is none."""
    if asked != "cpu" and not torch.cuda.is_available():
        raise FitError("--unfreeze learns on a GPU, and torch sees none; --device cpu learns without one, slowly")
    return torch.device(asked or "cuda")


def read_shown(loaded: Loaded, goods: Sequence[Goods], images: Path, *, report: Tell, tell: Tell) -> Shown:
    """Reads a catalog's pictures and makes its tokens; what cannot be used is reported. Raises FitError."""
    if not images.is_dir():
        raise FitError(f"{images} is no folder; give the catalog's pictures folder with --images")
    wanted = [(place, path) for place, product in enumerate(goods) for path in product.pictures]
    tell(f"reading {len(wanted):,} pictures of {len(goods):,} products")
    size, count, owners = loaded.image_input.size, 0, []
    pictures = np.empty((len(wanted), size, size, 3), np.uint8)
    for batch in read_pictures(images, [path for _, path in wanted], loaded.image_input, report):
        pictures[count : count + len(batch.places)] = batch.pictures
        count += len(batch.places)
        owners += [wanted[place][0] for place in batch.places]
    kept, places = np.unique(np.array(owners, np.int64), return_inverse=True)
    shown = tuple(goods[place] for place in kept)
    tokens = [loaded.tokenizer(list(product.sentences())).numpy() for product in shown]
    return Shown(shown, pictures[:count], places, np.array(tokens, np.int64))


def unfreeze(loaded: Loaded, shown: Shown, recipe: Recipe, tell: Tell) -> Outcome:
    """Teaches `loaded.network`, which is left with the weights that served the watched products best, on the processor.

    The same seed gives the same weights on the same processor. Raises FitError where the catalog holds too little, the
    model cannot be unfrozen in part, or memory runs out.
    """
    families = [product.family for product in shown.goods]
    check_families(families)
    taught, watched, judged = split(families, recipe.seed)
    tell(f"teaching by {len(taught):,} products; {len(watched):,} are watched, {len(judged):,} judged by")
    learned = unlock(loaded.network, recipe.unfrozen)
    tell(f"{sum(parameter.numel() for parameter in learned):,} weights learn")
    judge = _Judge(loaded, shown, recipe.device)
    with seeded_torch(recipe.seed, recipe.batch, threads=torch.get_num_threads()):
        before = judge.measure(judged)
        _Teacher(loaded, shown, taught, learned, recipe).run(lambda: judge.find(watched).reciprocal_rank, tell)
        after = judge.measure(judged)
    loaded.network.cpu()
    clusters = [families[owner] for owner in shown.owners[np.isin(shown.owners, judged)]]
    lost = [name for name in ("reciprocal_ranks", "precisions") if before[1].gains(after[1], name, clusters)]
    gained = after[0].is_better_than(before[0])
    return Outcome(gained and not lost, _say(gained, lost), _note(len(judged), before, after))


def unlock(network: torch.nn.Module, groups: int) -> list[torch.nn.Parameter]:
    """Freezes all but the last layer groups of both towers of an open_clip network and its scale; gives what learns."""
    for parameter in network.parameters():
        parameter.requires_grad_(requires_grad=False)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # one kind of text tower tells of it
            network.lock_image_tower(unlocked_groups=groups, freeze_bn_stats=True)
            network.lock_text_tower(unlocked_layers=groups)
    except (AssertionError, NotImplementedError) as error:
        raise FitError(f"open_clip cannot unfreeze a part of this model: {error}; leave --unfreeze out") from error
    network.logit_scale.requires_grad_(requires_grad=True)
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class _Judge:
    """Measures the network as it is, on products of which it learned nothing."""

    def __init__(self, loaded: Loaded, shown: Shown, device: torch.device) -> None:
        self._images = ImageTower(loaded.network, loaded.mean, loaded.std).to(device)
        self._texts = TextTower(loaded.network)
        self._shown, self._device = shown, device
        self._categories = [product.category for product in shown.goods]

    def find(self, products: Places, pictures: Floats | None = None) -> Recall:
        """Whether titles find the pictures of their products among those of all `products`."""
        kept = np.flatnonzero(np.isin(self._shown.owners, products))
        vectors = self._embed(self._images, self._shown.pictures, kept) if pictures is None else pictures[kept]
        titles = self._embed(self._texts, self._shown.tokens[:, _TITLE], products)
        return measure_recall(titles, products, vectors, self._shown.owners[kept])

    def measure(self, products: Places) -> tuple[Recall, PictureFinds]:
        """That, and what the products' pictures find among all of the catalog."""
        owners = self._shown.owners
        pictures = self._embed(self._images, self._shown.pictures, np.arange(len(owners)))
        asked = np.flatnonzero(np.isin(owners, products))
        return self.find(products, pictures), measure_pictures(pictures, asked, owners, self._categories)

    def _embed(self, tower: torch.nn.Module, values: Pictures | Tokens, places: Places) -> Floats:
        tower.eval()
        with torch.inference_mode():
            found = [
                tower(torch.from_numpy(values[places[start : start + EMBEDDED]]).to(self._device)).float().cpu().numpy()
                for start in range(0, len(places), EMBEDDED)
            ]
        return np.concatenate(found)


class _Teacher:
    """The state of the learning. The network stays in evaluation mode: nothing is dropped, no statistics move."""

    def __init__(
        self, loaded: Loaded, shown: Shown, taught: Places, learned: Sequence[torch.nn.Parameter], recipe: Recipe
    ) -> None:
        self._network = loaded.network.to(recipe.device).eval()
        self._images = ImageTower(loaded.network, loaded.mean, loaded.std).to(recipe.device)
        self._texts = TextTower(loaded.network)
        self._shown, self._taught, self._recipe = shown, taught, recipe
        self._by_product = by_product(shown.owners, len(shown.goods))
        self._rng = np.random.default_rng(recipe.seed)
        self._learned = list(learned)
        self._optimiser = torch.optim.AdamW(self._learned, recipe.learning_rate, weight_decay=WEIGHT_DECAY)
        self._steps = max(1, round(len(taught) / recipe.batch))
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.learning_rate, total_steps=recipe.epochs * self._steps + 1
        )
        self._autocast = torch.autocast(recipe.device.type, torch.bfloat16, enabled=recipe.device.type == "cuda")

    def run(self, watch: Callable[[], float], tell: Tell) -> None:
        """Teaches, and leaves the weights of the epoch whose figure was the best; those of the start count too."""
        best, best_epoch, kept = watch(), 0, self._copy()
        tell(f"before: watched mean reciprocal rank {best:.3f}")
        for epoch in range(1, self._recipe.epochs + 1):
            loss = float(np.mean([self._step(products) for products in self._batches()]))
            figure = watch()
            tell(f"epoch {epoch}: loss {loss:.3f}, watched mean reciprocal rank {figure:.3f}")
            if figure > best:
                best, best_epoch, kept = figure, epoch, self._copy()
            if epoch - best_epoch >= PATIENCE:
                break
        with torch.no_grad():
            for parameter, values in zip(self._learned, kept, strict=True):
                parameter.copy_(values)

    def _batches(self) -> Iterator[Places]:
        yield from np.array_split(self._rng.permutation(self._taught), self._steps)

    def _step(self, products: Places) -> float:
        """One step on a picture, mirrored or not, and a sentence of each product."""
        places = np.array([self._rng.choice(self._by_product[product]) for product in products])
        said = self._rng.choice(len(SENTENCE_SHARES), len(products), p=SENTENCE_SHARES)
        pictures = self._shown.pictures[places]
        mirrored = self._rng.random(len(places)) < 1 / 2
        pictures[mirrored] = pictures[mirrored, :, ::-1]
        device = self._recipe.device
        with self._autocast:
            left = self._images(torch.from_numpy(pictures).to(device))
            right = self._texts(torch.from_numpy(self._shown.tokens[products, said]).to(device))
        scale = self._network.logit_scale.clamp(max=MAX_LOG_SCALE).exp()
        loss = losses.contrastive(left.float(), right.float(), scale)
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        self._schedule.step()
        return float(loss.detach())

    def _copy(self) -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in self._learned]


def _say(gained: bool, lost: Sequence[str]) -> str:
    if not gained:
        return "nothing was gained for sentences on the held-out products"
    what = {"reciprocal_ranks": "other views of the same product", "precisions": "products of the same category"}
    return f"pictures find fewer {' and '.join(what[name] for name in lost)}" if lost else "titles find pictures better"


def _note(products: int, before: tuple[Recall, PictureFinds], after: tuple[Recall, PictureFinds]) -> dict[str, float]:
    figures = {"products_judged_by": float(products)}
    for end, (recall, finds) in (("_before", before), ("", after)):
        figures |= {
            f"title_finds_picture_in_first_10{end}": recall.first_10,
            f"title_reciprocal_rank{end}": recall.reciprocal_rank,
            f"picture_finds_other_view_reciprocal_rank{end}": finds.mean("reciprocal_ranks"),
            f"picture_precision_of_first_5{end}": finds.mean("precisions"),
        }
    return figures
