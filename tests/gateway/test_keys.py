"""API keys: the file, what a caller sends, and how often it may."""

import hashlib
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.client.cli import main
from sosie.gateway import reloading
from sosie.gateway.keys import (
    KeyEntry,
    Keyring,
    RateLimitedError,
    TokenBucket,
    UnauthenticatedError,
    make_key,
    read_keys,
)


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def line(name: str, key: str, more: str = "") -> str:
    return f'{name} = {{ sha256 = "{digest(key)}"{more} }}\n'


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    return (("user-agent", "test"), ("authorization", f"Bearer {key}"))


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Keyring]:
    """Makes a keyring of a file's text; the file is looked at with every call."""
    monkeypatch.setattr(reloading, "_PAUSE", 0.0)

    def make(text: str, clock: Clock | None = None, share: float = 1.0) -> Keyring:
        (tmp_path / "keys.toml").write_text(text)
        return Keyring(tmp_path / "keys.toml", share=share, clock=clock or Clock())

    return make


def test_callers_are_known_by_their_keys(ring: Callable[..., Keyring]) -> None:
    """A key is taken from either place in the metadata, and names its caller."""
    keyring = ring(line("website", "one") + line("app", "two"))
    assert keyring.admit(bearer("one")) == "website"
    assert keyring.admit((("authorization", "bearer  two "),)) == "app"
    assert keyring.admit((("x-api-key", "two"),)) == "app"


@pytest.mark.parametrize(
    "metadata",
    [None, (), bearer("three"), bearer(""), (("authorization", "Basic one"),), (("x-api-key-bin", b"one"),)],
)
def test_strangers_are_refused(metadata: tuple[tuple[str, str | bytes], ...], ring: Callable[..., Keyring]) -> None:
    """Without a key, or with one that the file does not hold, a call is refused."""
    with pytest.raises(UnauthenticatedError):
        ring(line("website", "one")).admit(metadata)


def test_without_a_file_everybody_may_ask() -> None:
    """A gateway without keys asks for none."""
    assert Keyring(None).admit(()) == ""


def test_two_keys_of_one_caller(ring: Callable[..., Keyring]) -> None:
    """While a key is being replaced a caller has two, which share its rate."""
    keyring = ring(f'app = {{ sha256 = ["{digest("old")}", "{digest("new")}"], rate = 1 }}')
    assert keyring.admit(bearer("old")) == "app"
    with pytest.raises(RateLimitedError):
        keyring.admit(bearer("new"))


def test_rate(ring: Callable[..., Keyring]) -> None:
    """A caller beyond its rate is told when to come back, and others are not hindered."""
    clock = Clock()
    keyring = ring(line("app", "one", ", rate = 2, burst = 3") + line("website", "two"), clock)
    for _ in range(3):
        keyring.admit(bearer("one"))
    with pytest.raises(RateLimitedError) as caught:
        keyring.admit(bearer("one"))
    assert caught.value.retry_after == pytest.approx(0.5)
    assert keyring.admit(bearer("two")) == "website"
    clock.now += 0.5
    keyring.admit(bearer("one"))


def test_share_of_a_worker(ring: Callable[..., Keyring]) -> None:
    """One of four processes grants a quarter of a rate and of a burst, and always at least one call."""
    clock = Clock()
    keyring = ring(line("app", "one", ", rate = 4, burst = 8") + line("slow", "two", ", rate = 0.1"), clock, share=0.25)
    for key, granted in (("one", 2), ("two", 1)):
        for _ in range(granted):
            keyring.admit(bearer(key))
        with pytest.raises(RateLimitedError):
            keyring.admit(bearer(key))


@given(rate=st.floats(0.01, 1000), burst=st.floats(1, 100), pauses=st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_bucket_keeps_its_rate(rate: float, burst: float, pauses: list[float]) -> None:
    """However calls come, no more are granted than the burst and what the rate gives in the time."""
    clock = Clock()
    bucket = TokenBucket(rate, burst, clock)
    granted = 0
    for pause in pauses:
        clock.now += pause
        wait = bucket.take()
        granted += wait == 0
        assert granted <= burst + clock.now * rate + 1e-6
        assert 0 <= wait <= 1 / rate + 1e-9


def test_changed_file(ring: Callable[..., Keyring], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that was added is taken and one that was removed is not; who keeps its rate gets no calls anew."""
    path = tmp_path / "keys.toml"
    limited = line("app", "one", ", rate = 1")
    keyring = ring(limited + line("website", "two"))
    keyring.admit(bearer("one"))
    path.write_text(limited + line("shop", "three"))
    os.utime(path, ns=(1, 1))
    assert keyring.admit(bearer("three")) == "shop"
    with pytest.raises(UnauthenticatedError):
        keyring.admit(bearer("two"))
    with pytest.raises(RateLimitedError):
        keyring.admit(bearer("one"))
    path.write_text("nonsense")
    assert keyring.admit(bearer("three")) == "shop"
    assert "is no TOML" in caplog.text


def test_file_is_read() -> None:
    """A line names the digests, the rate and what may come at once; the burst is the rate unless given."""
    one, two = digest("one"), digest("two")
    text = f'a = {{ sha256 = "{one}" }}\nb = {{ sha256 = ["{two}"], rate = 5 }}\n'
    text += f'[c-d]\nsha256 = "{"0" * 64}"\nrate = 0.5\n'
    assert read_keys(text.encode()) == {
        "a": KeyEntry((one,), None, 1.0),
        "b": KeyEntry((two,), 5.0, 5.0),
        "c-d": KeyEntry(("0" * 64,), 0.5, 1.0),
    }


def test_every_wrong_line_is_told() -> None:
    """All that is wrong in a file is told at once, by the caller's name."""
    good = digest("one")
    text = "\n".join(
        (
            f'one = {{ sha256 = "{good}" }}',
            f'two = {{ sha256 = "{good}" }}',
            'three = { sha256 = "short" }',
            "four = 5",
            f'five = {{ sha256 = "{digest("5")}", rate = 0 }}',
            f'six = {{ sha256 = "{digest("6")}", burst = 2 }}',
            f'seven = {{ sha256 = "{digest("7")}", rat = 2 }}',
            f'"a name" = {{ sha256 = "{digest("8")}" }}',
            "nine = { sha256 = [] }",
        )
    )
    with pytest.raises(ValueError, match="two: has a key of one") as caught:
        read_keys(text.encode())
    told = re.findall(r"(?:^|; )([\w ]+): ", str(caught.value))
    assert told == ["three", "four", "five", "six", "seven", "a name", "nine", "two"]


def test_new_key() -> None:
    """A new key is long, unlike any other, and its digest is what the file wants."""
    key, said = make_key()
    assert re.fullmatch(r"sosie_[\w-]{43}", key)
    assert said == digest(key)
    assert make_key()[0] != key


def test_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The command shows the key apart from its line, and the line is what the file takes."""
    assert main(["gateway-key", "web-1", "--rate", "2.5", "--burst", "10"]) == 0
    shown = capsys.readouterr()
    (entry,) = read_keys(shown.out.encode()).values()
    assert entry == KeyEntry((digest(shown.err.strip()),), 2.5, 10.0)


@pytest.mark.parametrize("arguments", [["a b"], ["a.b"], ["web", "--rate", "0"], ["web", "--burst", "3"], ["=\n"]])
def test_command_refuses(arguments: list[str]) -> None:
    """What the file would not take is refused in one line."""
    with pytest.raises(SystemExit) as caught:
        main(["gateway-key", *arguments])
    assert re.fullmatch("sosie gateway-key: .+", str(caught.value))
