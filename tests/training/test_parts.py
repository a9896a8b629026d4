"""The reference of the parts: what each must do whatever the graphs make of it."""

import numpy as np
import pytest
from PIL import Image

from sosie.engine.inference import Pictures
from sosie.training import parts
from sosie.training.colour import SIZE, add_colour
from sosie.training.graph import FLOAT, GraphBuilder
from sosie.training.sessions import open_session

WHITE, BLACK, RED, BLUE = (255, 255, 255), (10, 10, 10), (200, 30, 40), (30, 60, 180)


def draw(thing: tuple[int, int, int], ground: tuple[int, int, int] = WHITE, period: int = 0) -> Pictures:
    """A square of one colour, or striped with black every `period` pixels, on a ground."""
    picture = np.full((224, 224, 3), ground, np.uint8)
    picture[52:172, 52:172] = thing
    if period:
        for start in range(52, 172, period):
            picture[start : min(172, start + period // 2), 52:172] = BLACK
    return picture


def colours(*pictures: Pictures) -> parts.Floats:
    return parts.colour(np.stack(pictures))


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [((1, 1, 1), (100, 0, 0)), ((1, 0, 0), (53.24, 80.09, 67.2)), ((0, 0, 1), (32.3, 79.19, -107.86))],
)
def test_lab_of_known_colours(rgb: tuple[float, ...], lab: tuple[float, ...]) -> None:
    """White, red and blue of sRGB have the Lab values that every table gives."""
    assert parts.srgb_to_lab(np.array(rgb)) == pytest.approx(np.array(lab), abs=0.02)


def test_nodes_are_shown_colours() -> None:
    """The nodes are 131 different Lab colours, none far outside what a screen shows."""
    nodes = parts.colour_nodes()

    assert nodes.shape == (131, 3)
    assert len({tuple(node) for node in nodes.tolist()}) == 131
    assert [10, -60, -60] not in nodes.tolist()


def test_colour_is_of_unit_length() -> None:
    """Every colour part has length 1 and no negative number, also of a picture without a foreground."""
    part = colours(draw(RED), draw(WHITE), draw(BLACK, BLACK))

    assert np.linalg.norm(part, axis=1) == pytest.approx(1, abs=1e-5)
    assert (part >= 0).all()


def test_colour_leaves_the_background_out() -> None:
    """A red thing on white is nearer to a red thing on grey than to a blue thing on white."""
    red, red_on_grey, blue = colours(draw(RED), draw(RED, (190, 190, 190)), draw(BLUE))

    assert red @ red_on_grey > red @ blue + 0.2


def test_colour_tells_stripes_from_plain() -> None:
    """Stripes of black and red are nearer to finer stripes of the same than to plain red or plain black."""
    stripes, finer, plain, black = colours(draw(RED, period=24), draw(RED, period=12), draw(RED), draw(BLACK))

    assert stripes @ finer > max(stripes @ plain, stripes @ black) + 0.05


@pytest.mark.parametrize("size", [224, 256, 336, 40])
def test_cells_share_every_pixel_out(size: int) -> None:
    """Cells are means over their own area: each pixel is shared out whole, also where cells cut through pixels."""
    weights = parts.cell_weights(size)

    assert weights.sum(1) == pytest.approx(1)
    assert weights.sum(0) == pytest.approx(56 / size)
    assert np.count_nonzero(weights, axis=1).max() <= size // 56 + 2


def test_colour_of_any_size() -> None:
    """A picture has nearly the same colour part at 224 and at 256 pixels."""
    picture = Image.fromarray(draw(RED, period=24))
    large = np.asarray(picture.resize((256, 256), Image.Resampling.BICUBIC))

    assert parts.colour(large[None])[0] @ colours(np.asarray(picture))[0] == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("size", [256, 40])
def test_colour_graph_of_any_size(size: int) -> None:
    """The graph computes the part as the reference does where cells cut through pixels."""
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (3, size, size, 3)).astype(np.uint8)
    pictures[1:, size // 4 : size // 2] = (200, 30, 40)
    pictures[2, :, :] //= 8
    graph = GraphBuilder("colour")
    picture = graph.input("picture", FLOAT, ["n", 3, size, size])
    graph.output("colour", add_colour(graph, picture, size), ["n", SIZE])
    feed = pictures.transpose(0, 3, 1, 2).astype(np.float32)

    found = open_session(graph.model().SerializeToString()).run(None, {"picture": feed})[0]

    assert found == pytest.approx(parts.colour(pictures), abs=1e-4)


def test_relu6_mean_is_the_expectation() -> None:
    """The closed form agrees with the mean of many drawn numbers, at both bends of the ReLU6."""
    mean, deviation = np.array([-1.0, 0.0, 3.0, 5.5, 9.0]), np.array([1.0, 2.0, -0.5, 1.5, 2.0])
    drawn = mean + deviation * np.random.default_rng(0).standard_normal((400_000, 5))

    assert parts.relu6_mean(mean, deviation) == pytest.approx(drawn.clip(0, 6).mean(0), abs=0.01)


def test_look_whitens_by_the_classifier() -> None:
    """After the projection the classifier's rows have the same spread along every kept direction."""
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((60, 20)) * np.linspace(0.1, 3, 20)
    _, projection = parts.look_statistics(np.ones(20), np.zeros(20), rows, size=8)
    projected = rows @ projection

    assert projected.T @ projected == pytest.approx(np.eye(8), abs=1e-5)


def test_class_meaning_keeps_the_most_probable() -> None:
    """Only the ten most probable classes speak for a picture's meaning."""
    probabilities = np.linspace(1, 2, 20)[None]
    meaning = parts.class_meaning(probabilities, np.eye(20))

    assert (meaning[0, :10] == 0).all()
    assert (meaning[0, 10:] > 0).all()
    assert np.linalg.norm(meaning) == pytest.approx(1)
