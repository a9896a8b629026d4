"""TritonModels over a real Triton with tiny models."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sosie.engine.errors import BackendError, BackendTimeoutError, BackendUnavailableError
from sosie.engine.inference import Pictures
from sosie.engine.space import Parts
from sosie.engine.triton import TritonModels
from sosie.local.ports import HOST, find_ports
from sosie.local.triton import LocalTriton

TIMEOUT = 10.0
QUICK = 2.0
"""Seconds in which a refused connection is known to be one."""


@pytest.fixture
async def models(encoder_triton: LocalTriton) -> AsyncIterator[TritonModels]:
    connected = await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)
    yield connected
    await connected.close()


def draw_pictures(count: int, size: int = 8) -> Pictures:
    return np.random.default_rng(3).integers(0, 256, (count, size, size, 3), np.uint8)


def run_graph(model: Path, name: str, batch: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
    """What the graph answers without a server, by the output's name."""
    import onnxruntime  # noqa: PLC0415 -- slow to import, and only slow tests need it

    session = onnxruntime.InferenceSession(model / "1" / "model.onnx", providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    return dict(zip(outputs, session.run(outputs, {name: batch}), strict=True))


@contextmanager
def loaded(triton: LocalTriton, model: Path) -> Iterator[None]:
    """A further model for a while."""
    triton.http.load(model.name, timeout=60)
    try:
        yield
    finally:
        triton.http.unload(model.name, timeout=60)


@pytest.mark.slow
def test_descriptions(models: TritonModels) -> None:
    """Spaces, inputs and labels are what the models say of themselves; who says nothing, or is half a pair, is left."""
    from engine import tiny_encoders  # noqa: PLC0415 -- onnx is slow to import, and only slow tests need it

    assert set(models.encoders) == {"tiny-1", "slow-1"}
    tiny = models.encoders["tiny-1"]
    assert tiny.space == tiny_encoders.TINY_SPACE
    assert tiny.image_input == tiny_encoders.IMAGE_INPUT
    assert tiny.text_input == tiny_encoders.TEXT_INPUT
    assert set(models.classifiers) == {"hue"}
    assert models.classifiers["hue"].labels == ("red", "green", "blue")
    assert models.classifiers["hue"].image_input == tiny_encoders.IMAGE_INPUT


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 4, 5, 11])
async def test_the_graphs_own_answers(models: TritonModels, encoder_repository: Path, count: int) -> None:
    """Vectors and probabilities are what onnxruntime gives for the graph, in batches beyond the model's 4 too."""
    pictures = draw_pictures(count)
    tokens = np.random.default_rng(4).integers(1, 50, (count, 6), np.int64)
    answers: list[tuple[Parts, str, str, npt.NDArray[Any]]] = [
        (await models.encoders["tiny-1"].encode_images(pictures, timeout=TIMEOUT), "tiny_image", "image", pictures),
        (await models.encoders["tiny-1"].encode_texts(tokens, timeout=TIMEOUT), "tiny_text", "tokens", tokens),
    ]
    probabilities = await models.classifiers["hue"].classify(pictures, timeout=TIMEOUT)
    answers.append(({"probabilities": probabilities}, "hue", "image", pictures))
    for answer, model, name, batch in answers:
        expected = run_graph(encoder_repository / model, name, batch)
        assert set(answer) == set(expected) - {"logits"}  # a classifier is asked for its probabilities alone
        for output, values in answer.items():
            np.testing.assert_allclose(values, expected[output], atol=1e-6)


@pytest.mark.slow
async def test_probe(models: TritonModels) -> None:
    """The probe asks every model, and names those that do not answer in time."""
    assert (await models.probe(timeout=TIMEOUT)).problem is None
    health = await models.probe(timeout=0.05)  # slow_image alone takes longer
    assert isinstance(health.encoders["slow-1"], BackendTimeoutError)


async def test_nobody_listens() -> None:
    """Where nobody listens, that is said at once and not after the time limit."""
    address = f"{HOST}:{find_ports(triton=0)['triton']}"
    with pytest.raises(BackendUnavailableError):
        await asyncio.wait_for(TritonModels.connect(address, timeout=60), QUICK)


async def test_one_that_does_not_answer() -> None:
    """A server that takes connections and answers nothing is a timeout after the time limit."""
    with socket.create_server((HOST, 0)) as mute, pytest.raises(BackendTimeoutError):
        await asyncio.wait_for(TritonModels.connect(f"{HOST}:{mute.getsockname()[1]}", timeout=0.3), QUICK)


@pytest.mark.slow
async def test_pictures_of_another_size(models: TritonModels) -> None:
    """Pictures that the model does not take are a fault in the set-up, named with the model."""
    with pytest.raises(BackendError, match="tiny_image"):
        await models.encoders["tiny-1"].encode_images(draw_pictures(2, size=9), timeout=TIMEOUT)


@pytest.mark.slow
async def test_time_limit(models: TritonModels) -> None:
    """A model that takes longer than it may is a timeout; without time left it is not asked."""
    for timeout in (0.05, 0.0):
        with pytest.raises(BackendTimeoutError, match="slow_image"):
            await models.encoders["slow-1"].encode_images(draw_pictures(3), timeout=timeout)


@pytest.mark.slow
async def test_a_model_that_was_unloaded(encoder_triton: LocalTriton, models: TritonModels) -> None:
    """A model that is away is worth a retry: it may be on its way back."""
    encoder_triton.http.unload("tiny_text", timeout=60)
    try:
        with pytest.raises(BackendUnavailableError, match="tiny_text"):
            await models.encoders["tiny-1"].encode_texts(np.ones((1, 3), np.int64), timeout=TIMEOUT)
    finally:
        encoder_triton.http.load("tiny_text", timeout=60)
    await models.encoders["tiny-1"].encode_texts(np.ones((1, 3), np.int64), timeout=TIMEOUT)


@pytest.mark.slow
async def test_two_of_a_role(encoder_triton: LocalTriton, encoder_repository: Path) -> None:
    """Two models of the same role and space are refused by both names."""
    from engine import tiny_encoders  # noqa: PLC0415 -- as above

    twin = encoder_repository / "twin"
    tiny_encoders.write_image_encoder(twin, tiny_encoders.TINY_SPACE)
    with loaded(encoder_triton, twin), pytest.raises(BackendError, match=r"(?s)(tiny_image.*twin|twin.*tiny_image)"):
        await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)


@pytest.mark.slow
async def test_two_descriptions_of_a_space(encoder_triton: LocalTriton, encoder_repository: Path) -> None:
    """Two models that describe a space of one name differently are refused."""
    from engine import tiny_encoders  # noqa: PLC0415 -- as above

    other = encoder_repository / "other"
    tiny_encoders.write_text_encoder(other, replace(tiny_encoders.TINY_SPACE, name="lone-1", label_scale=2.0))
    with loaded(encoder_triton, other), pytest.raises(BackendError, match="lone-1"):
        await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "written", "instead", "message"),
    [
        ("missing", 'key: "space"', 'key: "spice"', "lacks the parameter 'space'"),
        ("wrong", r"{\"size\": 8, ", r"{\"sighs\": 8, ", "its parameter 'input' is wrong"),
        ("sizes", r"\"look\", \"size\": 12", r"\"look\", \"size\": 11", "has the outputs .* its space sizes the parts"),
    ],
)
async def test_a_bad_description(
    encoder_triton: LocalTriton, encoder_repository: Path, bad: str, written: str, instead: str, message: str
) -> None:
    """A parameter that is missing, wrong or contradicts the outputs is named with its model."""
    from engine import tiny_encoders  # noqa: PLC0415 -- as above

    space = replace(tiny_encoders.TINY_SPACE, name=bad)
    image, text = encoder_repository / f"{bad}_image", encoder_repository / f"{bad}_text"
    tiny_encoders.write_image_encoder(image, space)
    tiny_encoders.write_text_encoder(text, space)
    config = (image / "config.pbtxt").read_text()
    assert written in config
    (image / "config.pbtxt").write_text(config.replace(written, instead))
    with (
        loaded(encoder_triton, image),
        loaded(encoder_triton, text),
        pytest.raises(BackendError, match=message) as caught,
    ):
        await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)
    assert image.name in str(caught.value)


@pytest.mark.slow
async def test_urgent_goes_first(encoder_triton: LocalTriton) -> None:
    """An urgent question overtakes ordinary ones that were before it in Triton's queue."""
    patient = await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT)
    urgent = await TritonModels.connect(encoder_triton.grpc_address, timeout=TIMEOUT, urgent=True)
    finished: list[str] = []
    begun = asyncio.Event()

    async def ask(models: TritonModels, name: str) -> None:
        await models.encoders["slow-1"].encode_images(draw_pictures(1), timeout=60)
        finished.append(name)
        begun.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(7):
            group.create_task(ask(patient, "ordinary"))
        await asyncio.wait_for(begun.wait(), 60)  # now the other six are in the queue
        group.create_task(ask(urgent, "urgent"))
    await patient.close()
    await urgent.close()
    assert finished[-1] == "ordinary"
