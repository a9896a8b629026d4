"""How many requests are under way at a server, over servers whose times are computed."""

import heapq

import pytest

from sosie.indexer.encoding.window import FEW, MANY, Window


class SimulatedServer:
    """Works on `slots` requests at a time, each for `seconds`; its clock is moved by whoever asks."""

    def __init__(self, slots: int, seconds: float) -> None:
        self.seconds = seconds
        self.free_at = [0.0] * slots
        self.now = 0.0
        self.busy = 0.0

    def drive(self, window: Window, requests: int) -> None:
        """Sends one request after the other as the window lets them, and tells it when each was answered."""
        coming: list[tuple[float, float]] = []
        while requests or coming:
            while requests and window.has_room:
                requests -= 1
                window.begin()
                slot = min(range(len(self.free_at)), key=self.free_at.__getitem__)
                self.free_at[slot] = max(self.now, self.free_at[slot]) + self.seconds
                self.busy += self.seconds
                heapq.heappush(coming, (self.free_at[slot], self.now))
            end, start = heapq.heappop(coming)
            self.now = max(self.now, end)
            window.succeed(end - start)


@pytest.mark.parametrize("slots", [1, 2, 4, 16, 48])
def test_a_server_is_kept_busy_and_little_waits(slots: int) -> None:
    """The limit comes to the server's slots and the few requests that wait behind them, and stays there."""
    window, server = Window(), SimulatedServer(slots, 0.1)
    server.drive(window, 400)
    assert slots + FEW <= window.limit <= 2 * slots + MANY
    start, busy = server.now, server.busy
    server.drive(window, 10_000)
    assert slots <= window.limit <= 2 * slots + MANY
    assert (server.busy - busy) / (server.now - start) / slots > 0.97


def test_a_server_that_grows_slower_gets_no_more() -> None:
    """A server that shares its processor from some time on is not taken for one with a longer queue for ever."""
    window, server = Window(), SimulatedServer(2, 0.1)
    server.drive(window, 500)
    server.seconds = 0.4
    server.drive(window, 5_000)
    assert 2 <= window.limit <= 8


def test_more_slots_are_found() -> None:
    """Where servers come to those behind an address, more is sent there."""
    window = Window()
    SimulatedServer(1, 0.1).drive(window, 500)
    before = window.limit
    SimulatedServer(12, 0.1).drive(window, 2_000)
    assert before < 6
    assert window.limit > 12


def test_the_limit_is_bounded() -> None:
    """However fast the server, no more than the maximum are under way."""
    window = Window(maximum=8)
    SimulatedServer(100, 0.1).drive(window, 1_000)
    assert window.limit == 8


def test_a_limit_that_is_not_reached_does_not_grow() -> None:
    """While less is asked for than may be, nothing is learnt of what the server could take."""
    window = Window()
    for _ in range(100):
        window.begin()
        window.succeed(0.1)
    assert window.limit == 2


def test_a_refusal_halves_the_limit_once() -> None:
    """Refusals of requests that were under way together count as one; a later one counts again."""
    window = Window(maximum=64)
    SimulatedServer(60, 0.1).drive(window, 5_000)
    limit = window.limit
    assert limit > 32
    for _ in range(10):
        window.begin()
    for _ in range(10):
        window.refuse()
    assert window.limit == limit // 2
    window.begin()
    window.refuse()
    assert window.limit == limit // 4
    assert window.under_way == 0


def test_the_limit_never_comes_to_nothing() -> None:
    """A server that refuses everything is asked by one request at a time."""
    window = Window()
    for _ in range(10):
        window.begin()
        window.refuse()
    assert (window.limit, window.has_room) == (1, True)


def test_an_end_without_an_answer_frees_its_place() -> None:
    """A request that was taken back tells nothing of the server."""
    window = Window()
    window.begin()
    window.begin()
    assert not window.has_room
    assert window.load == 1
    window.end()
    assert window.has_room
    assert window.limit == 2
