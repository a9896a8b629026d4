"""Which encoder and tokenizer a collection is asked with."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes import FAKE_SPACE, FakeEncoder, FakeStore, write_fake_tokenizer
from sosie.engine.errors import BackendError
from sosie.engine.space import EmbeddingSpace
from sosie.indexer.encoding import servers
from sosie.indexer.opening import Backends
from sosie.indexer.target.collected import CollectedOpener

OTHER_SPACE = EmbeddingSpace("fake-000000000002", FAKE_SPACE.parts, "meaning", 10.0)


class Models:
    """TritonModels with doubles of encoders."""

    encoders: Mapping[str, FakeEncoder] = {}
    connected = 0

    @classmethod
    async def connect(cls, address: str, *, timeout: float) -> "Models":
        cls.connected += 1
        return cls()

    async def close(self) -> None:
        pass


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """That of the only tokenizer in the repository; Triton serves nothing."""
    monkeypatch.setattr(servers, "TritonModels", Models)
    monkeypatch.setattr(Models, "encoders", {})
    monkeypatch.setattr(Models, "connected", 0)
    return write_fake_tokenizer(tmp_path)


def make_opener(models: Path, encoder: FakeEncoder, *, with_sentences: bool = True) -> CollectedOpener:
    return CollectedOpener(
        backends=Backends("127.0.0.1:1", "x.db", "sosie"),
        models=models,
        encoder=encoder,
        with_sentences=with_sentences,
        timeout=1.0,
    )


async def test_the_runs_own_encoder_is_taken(tmp_path: Path, digest: str) -> None:
    """A collection in the run's space is asked with the run's encoder, over no further connection."""
    encoder = FakeEncoder(tokenizer_sha256=digest)
    async with make_opener(tmp_path, encoder)(FakeStore(), FAKE_SPACE) as collected:
        assert collected is not None
        assert collected.encoder is encoder
        assert collected.tokenizer is not None
        assert collected.tokenizer.encode(["red shoe"]).shape == (1, 2)
    assert Models.connected == 0


async def test_another_space_is_asked_with_its_own(tmp_path: Path, digest: str) -> None:
    """A collection in another space is asked with the encoder that Triton serves for it."""
    Models.encoders = {OTHER_SPACE.name: FakeEncoder(OTHER_SPACE, digest)}
    async with make_opener(tmp_path, FakeEncoder(tokenizer_sha256=digest))(FakeStore(), OTHER_SPACE) as collected:
        assert collected is not None
        assert collected.encoder.space.name == OTHER_SPACE.name


async def test_what_cannot_be_asked_is_none(tmp_path: Path, digest: str) -> None:
    """A collection whose encoder is not served, or whose tokenizer is gone, cannot be asked; with pictures it can."""
    encoder = FakeEncoder(tokenizer_sha256=digest)
    async with make_opener(tmp_path, encoder)(FakeStore(), OTHER_SPACE) as collected:
        assert collected is None
    Models.encoders = {OTHER_SPACE.name: FakeEncoder(OTHER_SPACE, "0" * 64)}
    async with make_opener(tmp_path, encoder)(FakeStore(), OTHER_SPACE) as collected:
        assert collected is None
    async with make_opener(tmp_path, encoder, with_sentences=False)(FakeStore(), OTHER_SPACE) as collected:
        assert collected is not None


async def test_the_runs_own_tokenizer_must_be_there(tmp_path: Path, digest: str) -> None:
    """Sentences for the run's own space without its tokenizer are an error that says what to change."""
    opener = make_opener(tmp_path, FakeEncoder(tokenizer_sha256="0" * 64))
    with pytest.raises(BackendError, match="--models"):
        async with opener(FakeStore(), FAKE_SPACE):
            pass
