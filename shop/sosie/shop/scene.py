"""What is around the product in a picture: where it stands, its shadow, the light and the camera."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from PIL import Image

from sosie.shop.canvas import Canvas, Homography, blur, smooth_noise
from sosie.shop.palette import Rgb, mix
from sosie.shop.patterns import Field, Paint


class Style(StrEnum):
    STUDIO = "studio"
    GRADIENT = "gradient"
    WOOD = "wood"
    WALL = "wall"


@dataclass(frozen=True)
class Backdrop:
    name: str
    style: Style
    rgb: Rgb


BACKDROPS: Final[tuple[Backdrop, ...]] = (
    Backdrop("white", Style.STUDIO, (0.985, 0.985, 0.98)),
    Backdrop("light grey", Style.STUDIO, (0.83, 0.835, 0.84)),
    Backdrop("slate", Style.STUDIO, (0.47, 0.50, 0.54)),
    Backdrop("cool gradient", Style.GRADIENT, (0.74, 0.80, 0.86)),
    Backdrop("warm gradient", Style.GRADIENT, (0.90, 0.84, 0.77)),
    Backdrop("dusk gradient", Style.GRADIENT, (0.56, 0.58, 0.66)),
    Backdrop("oak", Style.WOOD, (0.76, 0.63, 0.47)),
    Backdrop("walnut", Style.WOOD, (0.45, 0.33, 0.25)),
    Backdrop("plaster", Style.WALL, (0.80, 0.80, 0.77)),
    Backdrop("sage wall", Style.WALL, (0.66, 0.72, 0.66)),
    Backdrop("clay wall", Style.WALL, (0.72, 0.58, 0.51)),
)

_WALL_BY_WOOD: Final[Rgb] = (0.9, 0.89, 0.87)  # the wall behind a wooden floor is half way to this


@dataclass(frozen=True)
class View:
    """One picture of a product.

    `turn` is in degrees; `tilt` is the perspective, from the side and from above, -0.4..0.4; `shift` is in shares of
    the picture's side. `brightness` multiplies the light, `warmth` (-0.1..0.1) moves it from blue to yellow.
    """

    name: str
    backdrop: Backdrop
    turn: float = 0.0
    mirrored: bool = False
    scale: float = 0.86
    shift: tuple[float, float] = (0.0, 0.0)
    tilt: tuple[float, float] = (0.0, 0.0)
    brightness: float = 1.0
    warmth: float = 0.0
    shadow: float = 0.4


def camera(view: View, size: int) -> Homography:
    """The way from product coordinates to pixels that a view stands for."""
    to_middle = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1.0]])
    sine, cosine = math.sin(math.radians(view.turn)), math.cos(math.radians(view.turn))
    side = -1.0 if view.mirrored else 1.0
    turn = np.array([[cosine * side, -sine, 0], [sine * side, cosine, 0], [0, 0, 1.0]])
    x, y = view.tilt
    tilt = np.array([[math.cos(x), 0, 0], [0, math.cos(y), 0], [math.sin(x) * 0.6, math.sin(y) * 0.6, 1.0]])
    zoom = size * view.scale
    place = np.array([[zoom, 0, size * (0.5 + view.shift[0])], [0, zoom, size * (0.5 + view.shift[1])], [0, 0, 1.0]])
    chain: Homography = place @ tilt @ turn @ to_middle
    return chain


def compose(canvas: Canvas, view: View, *, stands: bool, seed: int) -> Image.Image:
    """The drawn product before its backdrop, in the view's light."""
    rng = np.random.default_rng(seed)
    size, alpha = canvas.size, canvas.alpha
    rows = np.flatnonzero((alpha > 0.5).any(axis=1))  # noqa: PLR2004 - the product's rows
    ground = int(rows[-1]) if len(rows) else size - 1
    picture = _floor_and_wall(view.backdrop, size, ground, rng) if stands else _backdrop(view.backdrop, size, rng)
    shadow = _standing_shadow(alpha, ground) if stands else _lying_shadow(alpha)
    picture = picture * (1 - np.float32(view.shadow) * shadow)[..., None]
    picture = picture * (1 - alpha[..., None]) + canvas.rgb * alpha[..., None]
    return _develop(picture, view, rng)


def _develop(picture: Paint, view: View, rng: np.random.Generator) -> Image.Image:
    """Brightness, warmth, uneven light and sensor noise; then 8 bits."""
    size = len(picture)
    warmth = np.array([1 + view.warmth, 1.0, 1 - view.warmth], np.float32)
    x = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    uneven = 1 - np.float32(0.05) * (x[None, :] + x[:, None]) - np.float32(0.08) * (x[None, :] ** 2 + x[:, None] ** 2)
    noise = rng.standard_normal((size, size, 1), np.float32) * np.float32(0.008)
    light = picture * (warmth * np.float32(view.brightness)) * uneven[..., None] + noise
    return Image.fromarray((light.clip(0, 1) * 255 + 0.5).astype(np.uint8))


def _lying_shadow(alpha: Field) -> Field:
    """A soft shadow to the right and below, and a dark line of contact."""
    size = len(alpha)
    far, near = size // 32, size // 100
    return np.roll(blur(alpha, far), (far, far // 2), (0, 1)) * np.float32(0.75) + blur(alpha, near) * np.float32(0.3)


def _standing_shadow(alpha: Field, ground: int) -> Field:
    """The product's outline laid down on the floor, and the dark line that it stands on."""
    size = len(alpha)
    flat = size // 9
    outline = Image.fromarray((alpha[: ground + 1] * 255).astype(np.uint8)).resize((size, flat), Image.Resampling.BOX)
    laid = np.zeros_like(alpha)
    top = min(ground - flat * 2 // 3, size - flat)
    laid[top : top + flat] = np.asarray(outline, np.float32)[: size - top] / 255
    contact = np.zeros_like(alpha)
    thin = max(2, size // 80)
    contact[ground : ground + thin] = alpha[ground - thin : ground].max(axis=0)
    return blur(laid, size / 45) * np.float32(0.8) + blur(contact, size / 90) * np.float32(0.9)


def _floor_and_wall(backdrop: Backdrop, size: int, ground: int, rng: np.random.Generator) -> Paint:
    """A floor that meets the wall behind the product in a soft line."""
    if backdrop.style is Style.STUDIO:
        return _backdrop(backdrop, size, rng)
    wall_style = Style.WALL if backdrop.style is Style.WOOD else backdrop.style
    wall_rgb = mix(backdrop.rgb, _WALL_BY_WOOD, 0.55) if backdrop.style is Style.WOOD else backdrop.rgb
    wall = _backdrop(Backdrop(backdrop.name, wall_style, wall_rgb), size, rng)
    floor = _backdrop(backdrop, size, rng) * np.float32(0.92 if backdrop.style is not Style.WOOD else 1.0)
    line = ground - size * rng.uniform(0.1, 0.2)
    y = np.arange(size, dtype=np.float32)[:, None, None]
    share = np.clip((y - np.float32(line)) / np.float32(size / 90), 0, 1)
    room: Paint = wall * (1 - share) + floor * share
    return room


def _backdrop(backdrop: Backdrop, size: int, rng: np.random.Generator) -> Paint:
    """A surface of that style that fills the picture."""
    match backdrop.style:
        case Style.STUDIO:
            change: Field = np.zeros((size, size), np.float32)
        case Style.GRADIENT:
            x = np.linspace(-0.5, 0.5, size, dtype=np.float32)
            angle = rng.uniform(0, 2 * math.pi)
            change = np.float32(0.16) * (
                x[None, :] * np.float32(math.cos(angle)) + x[:, None] * np.float32(math.sin(angle))
            )
        case Style.WALL:
            fine = smooth_noise(size, max(size // 90, 2), rng)
            change = np.float32(0.022) * fine + np.float32(0.03) * smooth_noise(size, size // 4, rng)
        case Style.WOOD:
            change = _wood(size, rng)
    surface: Paint = np.array(backdrop.rgb, np.float32) * (1 + change)[..., None]
    return surface


def _wood(size: int, rng: np.random.Generator) -> Field:
    """Boards side by side with a grain along them: how much lighter or darker each pixel is."""
    boards = int(rng.integers(4, 7))
    x = np.arange(size, dtype=np.float32)[:, None] / np.float32(size) * boards
    board = x.astype(np.int32)
    tone = rng.uniform(-0.05, 0.05, boards + 1).astype(np.float32)[board]
    start = rng.uniform(0, 50, boards + 1).astype(np.float32)[board]
    along = smooth_noise(size, size // 3, rng)
    rings = np.sin((x * 9 + start + along * np.float32(1.6)) * np.float32(2.2))
    streaks = np.asarray(
        Image.fromarray(rng.uniform(-1, 1, (size, max(size // 40, 2))).astype(np.float32)).resize(
            (size, size), Image.Resampling.BICUBIC
        ),
        np.float32,
    )
    gap = np.clip(1 - np.minimum(x - board, 1 - (x - board)) * np.float32(size / boards / 1.6), 0, 1)
    change: Field = tone + np.float32(0.03) * rings + np.float32(0.035) * streaks - np.float32(0.4) * gap
    return change
