"""What a classifier is trained with: splits, decoded pictures, augmentation, figures, backbones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie.engine.inference import ImageInput, Pictures
from sosie.training import mini
from sosie.training.errors import ClassifierError, WeightsError
from sosie.training.sessions import open_session
from sosie.training.splits import SPLITS

torch = pytest.importorskip("torch", reason="training needs the extra `training`")

from sosie.training.classifier import backbones, lite0, metrics  # noqa: E402  # it needs torch
from sosie.training.classifier.augmentation import NONE, Augmentation, augment  # noqa: E402
from sosie.training.classifier.cache import cache_pictures  # noqa: E402
from sosie.training.classifier.dataset import Dataset, read_dataset, weigh_classes  # noqa: E402
from sosie.training.classifier.finetuning import group_weights  # noqa: E402
from sosie.training.classifier.running import explain_memory  # noqa: E402
from sosie.training.networks import create_network  # noqa: E402
from sosie.training.vectors import softmax  # noqa: E402


def write_catalog(folder: Path, *products: tuple[str, str, int], **attributes: str) -> Path:
    """A catalog of products by name, category and number of pictures; the pictures are named, not drawn."""
    lines = [
        {
            "shop": "s",
            "product_id": name,
            "title": name,
            "category_path": [category] if category else [],
            "attributes": attributes,
            "pictures": [{"id": str(view), "path": f"{name}-{view}.png"} for view in range(pictures)],
        }
        for name, category, pictures in products
    ]
    catalog = folder / "catalog.jsonl"
    catalog.write_text("\n".join(map(json.dumps, lines)))
    return catalog


def read(catalog: Path, *, min_images: int = 2, split_attribute: str | None = None, seed: int = 0) -> Dataset:
    return read_dataset(
        catalog, "category", seed=seed, min_images=min_images, split_attribute=split_attribute, report=print
    )


MANY = [(f"{label}{number}", label, 1 + number % 4) for label in ("hat", "shoe", "dress") for number in range(20)]


def test_splits_keep_products_whole(tmp_path: Path) -> None:
    """No product has pictures in two splits, all splits hold all labels, and the seed alone decides."""
    dataset = read(write_catalog(tmp_path, *MANY))
    of_group: dict[str, set[str]] = {}
    for group, split in zip(dataset.groups, dataset.splits, strict=True):
        of_group.setdefault(group, set()).add(split)
    assert len(of_group) == len(MANY)
    assert all(len(splits) == 1 for splits in of_group.values())
    assert all(set(dataset.truth[dataset.places(split)]) == {0, 1, 2} for split in SPLITS)
    assert read(tmp_path / "catalog.jsonl").splits == dataset.splits
    assert read(tmp_path / "catalog.jsonl", seed=1).splits != dataset.splits


def test_rare_labels_are_left_out(tmp_path: Path) -> None:
    """A label with fewer pictures than asked for is left out and counted; products without a label are no label."""
    catalog = write_catalog(tmp_path, *MANY, ("watch1", "watch", 2), ("watch2", "watch", 1), ("nameless", "", 9))
    dataset = read(catalog, min_images=4)
    assert dataset.labels == ("dress", "hat", "shoe")
    assert dataset.left_out == {"watch": 3}
    assert not any(path.startswith(("watch", "nameless")) for path in dataset.paths)


def test_one_class_is_refused(tmp_path: Path) -> None:
    """A catalog whose products are all of one category is refused, and so is one without any."""
    catalog = write_catalog(tmp_path, *[product for product in MANY if product[1] == "hat"])
    with pytest.raises(ClassifierError, match="'hat' alone has at least 2 pictures"):
        read(catalog)
    with pytest.raises(ClassifierError, match="of 3, none has at least 100 pictures"):
        read(write_catalog(tmp_path, *MANY), min_images=100)


def test_own_splits(tmp_path: Path) -> None:
    """Splits that the catalog brings are taken as they are; another word than theirs is refused with its product."""
    with pytest.raises(ClassifierError, match=r"'split' must be train, validation or test; product s/hat0 has 'dev'"):
        read(write_catalog(tmp_path, *MANY, split="dev"), split_attribute="split")
    with pytest.raises(ClassifierError, match="the split validation has no pictures"):
        read(write_catalog(tmp_path, *MANY, split="train"), split_attribute="split")


def test_unreadable_pictures_are_reported(tmp_path: Path) -> None:
    """Pictures that cannot be read are listed and left out, now and when the decoded ones are used again."""
    paths = ["a.png", "broken.png", "missing.png", "b.png"]
    for path, colour in zip(paths, ("red", "", "", "blue"), strict=True):
        if colour:
            Image.new("RGB", (40, 40), colour).save(tmp_path / path)
    (tmp_path / "broken.png").write_bytes(b"nothing")
    told: list[list[str]] = []
    for _ in range(2):
        problems: list[str] = []
        pictures, places = cache_pictures(
            tmp_path / "run", tmp_path, paths, ImageInput(32), report=problems.append, tell=lambda _: None
        )
        told.append(problems)
        assert places.tolist() == [0, 3]
        assert pictures[:, 16, 16].tolist() == [[255, 0, 0], [0, 0, 255]]
    assert [problem.split(":")[0] for problem in told[0]] == ["picture 'broken.png'", "picture 'missing.png'"]
    assert told[0] == told[1]
    with pytest.raises(ClassifierError, match="none of the 1 pictures"):
        cache_pictures(tmp_path / "other", tmp_path, ["x.png"], ImageInput(32), report=print, tell=print)


def test_changed_picture_is_decoded_again(tmp_path: Path) -> None:
    """Decoded pictures are not used again after one of the files has changed."""
    for colour, value in (("red", [255, 0, 0]), ("lime", [0, 255, 0])):
        Image.new("RGB", (40 + len(colour), 40), colour).save(tmp_path / "a.png")
        pictures, _ = cache_pictures(tmp_path, tmp_path, ["a.png"], ImageInput(32), report=print, tell=print)
        assert pictures[0, 16, 16].tolist() == value


def test_augmentation(drawn: Pictures) -> None:
    """A draw depends on its generator alone, has the size asked for, and changes nothing but the size if told so."""
    for picture in drawn:
        one, same, other = (augment(picture, 96, np.random.default_rng(seed), Augmentation()) for seed in (1, 1, 2))
        assert one.shape == (96, 96, 3)
        assert one.dtype == np.uint8
        assert np.array_equal(one, same)
        assert picture.std() == 0 or not np.array_equal(one, other)
        plain = augment(picture, len(picture), np.random.default_rng(0), NONE)
        assert np.array_equal(plain, picture) or np.array_equal(plain, picture[:, ::-1])


def test_class_weights() -> None:
    """Rare labels weigh more, by the root of their rarity, and the mean over all pictures is 1."""
    truth = np.array([0] * 90 + [1] * 10)
    weights = weigh_classes(truth, 2)
    assert weights[truth].mean() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(3)


def test_f1() -> None:
    """F1 macro and weighted are those of scikit-learn; labels that do not occur count nothing."""
    from sklearn.metrics import f1_score  # noqa: PLC0415  # slow to import

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    macro, weighted = metrics.f1_scores(predicted, truth, 6)
    assert macro == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert weighted == pytest.approx(f1_score(truth, predicted, average="weighted"))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_temperature(sharpness: float) -> None:
    """Logits that are too sharp or too flat by a factor get that factor as their temperature."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5)).astype(np.float32)
    truth = (np.log(softmax(logits)) + rng.gumbel(size=logits.shape)).argmax(1)
    temperature = metrics.fit_temperature(logits * sharpness, truth)
    assert temperature == pytest.approx(sharpness, rel=0.05)
    assert metrics.measure_loss(logits * sharpness / temperature, truth) <= metrics.measure_loss(logits, truth)


def test_lite0_is_the_tower(sources: mini.Sources, drawn: Pictures) -> None:
    """In torch the network has the features of the graph that is served, cosine above 0.9999."""
    backbone = backbones.load_backbone(backbones.LITE0, None, tell=print)
    classifier = backbones.Classifier(backbone, 3).eval()
    with torch.inference_mode():
        found = classifier.encode(torch.from_numpy(drawn)).numpy()
    (expected,) = open_session(mini.features_graph(sources).model().SerializeToString()).run(None, {"image": drawn})
    cosines = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() >= 0.9999
    assert isinstance(backbone.network, lite0.Lite0)


def test_weights_of_another_network(tmp_path: Path) -> None:
    """A checkpoint of another architecture is refused by name, and so is an unknown network."""
    path = tmp_path / "other.pth"
    torch.save({"conv1.weight": torch.zeros(8, 3, 3, 3)}, path)
    for name in (backbones.LITE0, "test_resnet"):
        with pytest.raises(WeightsError, match=rf"other.pth holds no weights of {name}"):
            backbones.load_backbone(name, str(path), tell=print)
    with pytest.raises(WeightsError, match="knows no network 'resnet1'"):
        backbones.load_backbone("resnet1", None, tell=print)


def test_weights_from_a_file(tmp_path: Path) -> None:
    """Weights of a file are taken with or without their own last layer."""
    network = create_network("test_resnet", num_classes=7)
    for leave_out in ("", "fc."):
        kept = {name: value for name, value in network.state_dict().items() if not leave_out or leave_out not in name}
        torch.save(kept, tmp_path / "own.pth")
        backbone = backbones.load_backbone("test_resnet", str(tmp_path / "own.pth"), tell=print)
        assert torch.equal(backbone.network.state_dict()["conv1.0.weight"], network.state_dict()["conv1.0.weight"])


def test_frozen_layers_do_not_learn() -> None:
    """The share of layers that is frozen is the first; later ones learn faster, vectors do not decay."""
    classifier = backbones.Classifier(backbones.load_backbone("test_resnet", "random", tell=print), 3)
    groups = group_weights(classifier, 1e-3, 0.5)
    learning = [any(value.requires_grad for value in layer.parameters(recurse=False)) for layer in classifier.layers()]
    assert learning == sorted(learning)
    assert learning.count(False) == round(0.5 * len(learning))
    rates = [float(str(group["lr"])) for group in groups]
    assert rates == sorted(rates)
    assert rates[-1] == 1e-3
    for group in groups:
        tensors: Any = group["params"]
        assert all((value.dim() > 1) == bool(group["weight_decay"]) for value in tensors)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_out_of_memory(error: Exception) -> None:
    """Running out of memory says which batch size to try, whoever ran out."""
    with pytest.raises(ClassifierError, match=r"try --batch-size 16$"), explain_memory(32):
        raise error
    with pytest.raises(ClassifierError, match="a smaller --backbone"), explain_memory(1):
        raise error


def test_other_errors_stay() -> None:
    """What is no lack of memory is not taken for one."""
    with pytest.raises(RuntimeError, match="shapes"), explain_memory(32):
        raise RuntimeError("shapes cannot be multiplied")
