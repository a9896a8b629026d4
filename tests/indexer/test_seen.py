"""What was met before: which place counts, and that the memory for it is bounded."""

import threading

import pytest

from sosie.indexer.entry import Place
from sosie.indexer.reading.seen import Seen, Sighting

A, B, C = Place("a.jsonl", 1), Place("a.jsonl", 9), Place("b.jsonl", 1)


@pytest.mark.parametrize(
    ("ranks", "counts"),
    [((0, 0, 0), A), ((1, 2, 3), C), ((1, 3, 2), B), ((-5, -(2**63), 2**63 - 1), C), ((7, 7, 6), A)],
)
def test_the_highest_rank_counts(ranks: tuple[int, int, int], counts: Place) -> None:
    """Of the places where something was met the one of the highest rank is kept, of equals the earliest."""
    with Seen() as seen:
        for rank, place in zip(ranks, (A, B, C), strict=True):
            last = seen.note(b"x" * 16, place, rank)
        assert last == seen.find(b"x" * 16) == Sighting(counts, 3)


def test_what_was_not_met_is_not_known() -> None:
    """Another digest is another thing."""
    with Seen() as seen:
        assert seen.note(b"x" * 16, A) == Sighting(A, 1)
        assert seen.find(b"y" * 16) is None


def test_it_may_be_used_from_one_thread_after_another() -> None:
    """A job reads each chunk of a catalog in another thread."""
    with Seen() as seen:
        for place in (A, B):
            thread = threading.Thread(target=seen.note, args=(b"x" * 16, place))
            thread.start()
            thread.join(timeout=10)
        assert seen.find(b"x" * 16) == Sighting(A, 2)


def test_a_full_disk_is_an_error_of_the_system() -> None:
    """Where the table can grow no more OSError says where it was."""
    with Seen() as seen:
        seen._table.execute("PRAGMA max_page_count = 3")
        with pytest.raises(OSError, match=r"cannot keep what was met: .* full \(in \$TMPDIR"):
            [seen.note(number.to_bytes(16), A) for number in range(10_000)]
