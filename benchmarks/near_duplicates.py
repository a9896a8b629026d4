"""What is taken for the same picture: `python benchmarks/near_duplicates.py DATA [--sample N]`.

Compares the photographs below DATA among each other, to see which pairs Likeness takes for the same, and
each of a sample with other files of itself, to see how many it finds.
"""

import argparse
import io
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from sosie.indexer.cleaning.likeness import MAX_BITS, MAX_COLOUR, Likeness
from sosie.indexer.cleaning.lookalikes import Lookalikes


def make_files(picture: Image.Image) -> Iterator[tuple[str, bytes]]:
    """Other files of a picture, as shops and their image servers make them."""
    width, height = picture.size
    yield "JPEG, quality 60", _encode(picture, quality=60)
    yield "JPEG, quality 30", _encode(picture, quality=30)
    yield "WebP, quality 70", _encode(picture, "WEBP", quality=70)
    yield "PNG", _encode(picture, "PNG")
    half = picture.resize((max(1, width // 2), max(1, height // 2)), Image.Resampling.LANCZOS)
    yield "half as wide", _encode(half, quality=85)
    third = picture.resize((max(1, width // 3), max(1, height // 3)), Image.Resampling.BICUBIC)
    yield "a third as wide, quality 50", _encode(third, quality=50)
    yield "cut by 1% on each side", _cut(picture, 1)
    yield "cut by 3% on each side", _cut(picture, 3)
    yield "brighter by 5%", _encode(picture.point(lambda level: min(255, level * 1.05)), quality=90)
    yield "mirrored", _encode(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=90)


def _cut(picture: Image.Image, percent: int) -> bytes:
    x, y = picture.width * percent // 100, picture.height * percent // 100
    return _encode(picture.crop((x, y, picture.width - x, picture.height - y)), quality=90)


def _encode(picture: Image.Image, kind: str = "JPEG", **options: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sample", type=int, default=300)
    arguments = parser.parse_args()
    kinds = {".jpg", ".jpeg", ".png", ".webp"}
    paths = sorted(path for path in arguments.data.rglob("*") if path.suffix.lower() in kinds)
    start = time.perf_counter()
    likenesses = [Likeness.of(path.read_bytes()) for path in paths]
    seconds = time.perf_counter() - start
    print(f"{len(paths):,} pictures, {seconds / len(paths) * 1000:.1f} ms each to look at")

    lookalikes, pairs = Lookalikes(), []
    start = time.perf_counter()
    for path, likeness in zip(paths, likenesses, strict=True):
        if found := lookalikes.meet(likeness, str(path)):
            pairs.append((path, Path(found[0]), likeness.differing_bits(found[1]), likeness.differing_colour(found[1])))
    seconds = time.perf_counter() - start
    print(f"{len(pairs)} pairs look the same, {seconds / len(paths) * 1000:.2f} ms each to look up")
    for path, other, bits, colour in pairs:
        names = [str(each.relative_to(arguments.data)) for each in (path, other)]
        print(f"  {bits} bits, {colour} levels: {names[0]} and {names[1]}")

    same_hash = Counter(likeness.bits for likeness in likenesses)
    print(f"by the hash alone {sum(count - 1 for count in same_hash.values()):,} would have been dropped at 0 bits")

    chosen = random.Random(1).sample(range(len(paths)), min(arguments.sample, len(paths)))
    differences: dict[str, list[tuple[int, int]]] = {}
    for number in chosen:
        with Image.open(paths[number]) as picture:
            whole = picture.convert("RGB")
        for name, data in make_files(whole):
            likeness = Likeness.of(data)
            difference = (likeness.differing_bits(likenesses[number]), likeness.differing_colour(likenesses[number]))
            differences.setdefault(name, []).append(difference)
    print(f"{len(chosen)} of them, found in another file by at most {MAX_BITS} bits and {MAX_COLOUR} levels:")
    for name, each in differences.items():
        both = np.array(each)
        share = ((both[:, 0] <= MAX_BITS) & (both[:, 1] <= MAX_COLOUR)).mean()
        bits, colour = np.percentile(both, 95, axis=0)
        print(f"  {name:<28} {share:>6.1%}  95% within {bits:.0f} bits, {colour:.0f} levels")


if __name__ == "__main__":
    main()
