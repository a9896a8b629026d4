"""API keys: who may ask, and how often.

The file holds no key, only SHA-256 digests: whoever reads it cannot call. A key has 256 random bits, so a plain digest
is as good as a slow one would be; those are for what people make up. The digest of what a caller sends is looked up in
a table: what the time of that tells is of a digest that nobody can steer.
"""

import hashlib
import re
import secrets
import time
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sosie.engine.errors import EngineError
from sosie.gateway.reloading import ReloadedFile

KEY_PREFIX = "sosie_"  # lets scanners for leaked secrets find one
_KEY_BYTES = 32
_LEAST_RATE = 0.001  # calls a second; a caller that may never call is left out of the file
_MOST = 1_000_000.0  # calls a second, or at once

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BEARER = "bearer "

Metadata = Iterable[tuple[str, str | bytes]]


class UnauthenticatedError(EngineError):
    """The caller showed no key, or one that is not known."""


class RateLimitedError(EngineError):
    """The caller's key has used up its rate. `retry_after` is in seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("more calls than this API key may make: try again later")
        self.retry_after = retry_after


@dataclass(frozen=True)
class KeyEntry:
    """A caller's line of the file: `digests` of its keys, `rate` calls a second (None: as many as it likes)."""

    digests: tuple[str, ...]
    rate: float | None
    burst: float


class TokenBucket:
    """`rate` calls a second on average, `burst` at once after a pause. `clock` is in seconds."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._then = clock()

    def take(self) -> float:
        """Takes a token and gives 0, or the seconds until there will be one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._then) * self._rate)
        self._then = now
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class Keyring:
    """The keys of `path`; without one everybody may ask. Of each rate a process grants the part `share`.

    Raises ValueError and OSError where the file cannot be taken at the start; later ones are as ReloadedFile says.
    """

    def __init__(self, path: Path | None, *, share: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._entries: Mapping[str, KeyEntry] = {}
        self._names: dict[str, str] = {}
        self._buckets: dict[str, TokenBucket] = {}
        self._file = ReloadedFile(path, read_keys) if path else None

    def admit(self, metadata: Metadata | None) -> str:
        """The name of the caller whose key is in the call's metadata; "" where no keys are set up.

        Raises UnauthenticatedError and RateLimitedError.
        """
        if self._file is None:
            return ""
        entries = self._file.value
        if entries is not self._entries:
            self._take(entries)
        name = self._names.get(hashlib.sha256(_find_key(metadata or ()).encode()).hexdigest())
        if name is None:
            raise UnauthenticatedError("this API key is not known: it may have been replaced")
        bucket = self._buckets.get(name)
        if bucket is not None and (seconds := bucket.take()):
            raise RateLimitedError(seconds)
        return name

    def _take(self, entries: Mapping[str, KeyEntry]) -> None:
        """Makes the tables anew; who keeps its rate keeps its bucket, so that no reload gives calls away."""
        self._names = {digest: name for name, entry in entries.items() for digest in entry.digests}
        kept = {name for name, entry in entries.items() if name in self._entries and _same(entry, self._entries[name])}
        self._buckets = {
            name: self._buckets[name] if name in kept else self._make_bucket(entry.rate, entry.burst)
            for name, entry in entries.items()
            if entry.rate is not None
        }
        self._entries = entries

    def _make_bucket(self, rate: float, burst: float) -> TokenBucket:
        return TokenBucket(rate * self._share, max(1.0, burst * self._share), self._clock)


def _same(one: KeyEntry, other: KeyEntry) -> bool:
    return (one.rate, one.burst) == (other.rate, other.burst)


def _find_key(metadata: Metadata) -> str:
    """The key in `authorization: Bearer KEY` or `x-api-key: KEY`; the names of metadata come in lower case."""
    for name, value in metadata:
        if isinstance(value, str):
            if name == "authorization" and value[: len(_BEARER)].lower() == _BEARER:
                return value[len(_BEARER) :].strip()
            if name == "x-api-key":
                return value.strip()
    raise UnauthenticatedError("an API key is needed: send the metadata 'authorization: Bearer KEY'")


def read_keys(contents: bytes) -> dict[str, KeyEntry]:
    """The callers of a file by name, from a TOML line each: name = { sha256 = "…", rate = 20, burst = 40 }.

    `sha256` is a digest or a list of them; `rate` and `burst` may be left out. Raises ValueError with all that is
    wrong.
    """
    try:
        said = tomllib.loads(contents.decode())
    except ValueError as error:
        raise ValueError(f"is no TOML: {error}") from error
    entries: dict[str, KeyEntry] = {}
    problems: list[str] = []
    for name, line in said.items():
        try:
            entries[name] = _read_entry(name, line)
        except ValueError as error:
            problems.append(f"{name}: {error}")
    seen: dict[str, str] = {}
    for name, entry in entries.items():
        others = {seen.setdefault(digest, name) for digest in entry.digests} - {name}
        problems += [f"{name}: has a key of {other}" for other in sorted(others)]
    if problems:
        raise ValueError("; ".join(problems))
    return entries


def _read_entry(name: str, line: Any) -> KeyEntry:
    if not _NAME.fullmatch(name):
        raise ValueError("a name is 1 to 64 letters, digits, - and _")
    if not isinstance(line, dict) or "sha256" not in line:
        raise ValueError('is not of the form name = { sha256 = "…", rate = 20, burst = 40 }')
    if unknown := sorted(line.keys() - {"sha256", "rate", "burst"}):
        raise ValueError(f"says {', '.join(unknown)}, beside sha256, rate and burst")
    digests = line["sha256"] if isinstance(line["sha256"], list) else [line["sha256"]]
    if not digests or not all(isinstance(digest, str) and _DIGEST.fullmatch(digest) for digest in digests):
        raise ValueError("sha256 is 64 hexadecimal digits in small letters, or a list of such")
    rate = _read_number(line, "rate", least=_LEAST_RATE)
    burst = _read_number(line, "burst", least=1.0)
    if burst is not None and rate is None:
        raise ValueError("burst goes with rate")
    return KeyEntry(tuple(digests), rate, burst if burst is not None else max(1.0, rate or 0.0))


def _read_number(line: Mapping[str, Any], name: str, *, least: float) -> float | None:
    value = line.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= _MOST:
        raise ValueError(f"{name} is a number from {least:g} to {_MOST:,.0f}")
    return float(value)


def make_key() -> tuple[str, str]:
    """A new key and the digest of it for the file."""
    key = KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    return key, hashlib.sha256(key.encode()).hexdigest()
