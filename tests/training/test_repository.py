"""Bringing model folders into a repository."""

from pathlib import Path

import pytest

from sosie.engine.inference import ImageInput
from sosie.engine.space import EmbeddingSpace, Part
from sosie.training.committed import write_committed
from sosie.training.errors import RepositoryError
from sosie.training.repository import CONFIG, GRAPH, Model, find_unbuilt, read_entries, write_models
from sosie.training.triton_config import Tensor, describe_classifier, describe_encoder, write_config

SPACE = EmbeddingSpace("tiny-1", (Part("look", 4, 1.0),), "look", 10.0, figures={"hit_rate": 0.5})


def make_model(name: str, graph: bytes = b"graph", *, labels: tuple[str, ...] = ()) -> Model:
    """An encoder, or a classifier of `labels`."""
    accepted = ImageInput(8)
    parameters = (
        describe_classifier("tiny", labels, accepted) if labels else describe_encoder("image_encoder", SPACE, accepted)
    )
    config = write_config(
        name, accepts=Tensor("image", "UINT8", (8, 8, 3)), answers=[], parameters=parameters, threads=1
    )
    return Model(name, {GRAPH: graph, CONFIG: config.encode()})


def stamps(folder: Path) -> dict[str, int]:
    """When each file was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_second_write_changes_nothing(tmp_path: Path) -> None:
    """Writing the same models again touches no file; `force` writes them all."""
    repository = tmp_path / "repository"
    models = [make_model("one"), make_model("two")]

    assert write_models(repository, models) == ["one", "two"]
    before = stamps(repository)
    assert write_models(repository, models) == []
    assert stamps(repository) == before
    assert write_models(repository, models, force=True) == ["one", "two"]


def test_only_what_changed(tmp_path: Path) -> None:
    """Only the folders whose files differ are written, and files that are no longer wanted go."""
    repository = tmp_path / "repository"
    write_models(repository, [make_model("one"), make_model("two")])
    (repository / "two" / "stray").write_text("x")

    assert write_models(repository, [make_model("one"), make_model("two")]) == ["two"]
    assert not (repository / "two" / "stray").exists()
    assert write_models(repository, [make_model("one", b"other"), make_model("two")]) == ["one"]
    assert (repository / "one" / GRAPH).read_bytes() == b"other"


def test_nothing_is_left_beside(tmp_path: Path) -> None:
    """Triton takes every folder in the repository for a model: none but models are there, and nothing beside it."""
    write_models(tmp_path / "repository", [make_model("one")])
    write_models(tmp_path / "repository", [make_model("one", b"other")])

    assert [path.name for path in tmp_path.iterdir()] == ["repository"]
    assert [path.name for path in (tmp_path / "repository").iterdir()] == ["one"]


def test_failure_leaves_the_old_models(tmp_path: Path) -> None:
    """Where a file cannot be written, the folders stay as they were."""
    repository = tmp_path / "repository"
    write_models(repository, [make_model("one"), make_model("two")])
    before = stamps(repository)
    broken = make_model("two", b"other")
    impossible = Model("two", {**broken.files, f"{GRAPH}/inside-a-file": b""})

    with pytest.raises(RepositoryError, match="cannot write"):
        write_models(repository, [make_model("one", b"other"), impossible])

    assert stamps(repository) == before
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_foreign_folder_is_kept(tmp_path: Path) -> None:
    """A folder that sosie did not build is not replaced unless forced."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / CONFIG).write_text('name: "one"\n')

    with pytest.raises(RepositoryError, match="--force"):
        write_models(tmp_path, [make_model("one")])
    assert (tmp_path / "one" / CONFIG).read_text() == 'name: "one"\n'
    assert write_models(tmp_path, [make_model("one")], force=True) == ["one"]


def test_committed_folder_is_built_into(tmp_path: Path) -> None:
    """A folder that holds committed configs and no weights is no model yet, and is built into without being forced."""
    write_committed(tmp_path)
    assert list(read_entries(tmp_path)) == []
    assert find_unbuilt(tmp_path) == ["clip_image", "clip_text", "resnet152"]

    assert write_models(tmp_path, [make_model("clip_image")]) == ["clip_image"]
    assert [entry.name for entry in read_entries(tmp_path)] == ["clip_image"]
    assert find_unbuilt(tmp_path) == ["clip_text", "resnet152"]


def test_model_without_its_weights(tmp_path: Path) -> None:
    """A config that describes its model but has no weights beside it, as a fresh clone may bring, is no model yet."""
    write_models(tmp_path, [make_model("one")])
    (tmp_path / "one" / GRAPH).unlink()

    assert list(read_entries(tmp_path)) == []
    assert write_models(tmp_path, [make_model("one")]) == ["one"]


def test_one_classifier_a_label_set(tmp_path: Path) -> None:
    """A second classifier of a label set is refused by the first one's name; the same one may be built again."""
    write_models(tmp_path, [make_model("one", labels=("cat", "dog"))])

    with pytest.raises(RepositoryError, match=r"one serves the label set tiny already; .*--label-set"):
        write_models(tmp_path, [make_model("two", labels=("cat", "dog"))])
    assert not (tmp_path / "two").exists()
    assert write_models(tmp_path, [make_model("one", labels=("cat", "cow"))]) == ["one"]


def test_entries(tmp_path: Path) -> None:
    """Models tell their roles, spaces and labels; folders of others are passed over."""
    write_models(tmp_path, [make_model("classifier", labels=("cat", "dog")), make_model("encoder")])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / CONFIG).write_text('name: "foreign"\n')

    classifier, encoder = read_entries(tmp_path)

    assert (classifier.name, classifier.role, classifier.space, classifier.labels) == (
        "classifier",
        "classifier",
        None,
        2,
    )
    assert (encoder.name, encoder.role, encoder.space, encoder.labels) == ("encoder", "image_encoder", SPACE, 0)


@pytest.mark.parametrize("place", ["missing", "file"])
def test_no_repository(tmp_path: Path, place: str) -> None:
    """What is no folder is refused by name."""
    (tmp_path / "file").write_text("x")

    with pytest.raises(RepositoryError, match=place):
        list(read_entries(tmp_path / place))


def test_broken_description(tmp_path: Path) -> None:
    """A description that cannot be read is named by its file."""
    write_models(tmp_path, [make_model("one")])
    config = tmp_path / "one" / CONFIG
    config.write_text(config.read_text().replace("label_part", "other_part"))

    with pytest.raises(RepositoryError, match=r"one/config\.pbtxt"):
        list(read_entries(tmp_path))
