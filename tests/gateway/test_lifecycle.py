"""Health, settings and the ports of a gateway."""

import asyncio
import urllib.request
from typing import Any

import grpc.aio
import numpy as np
import numpy.typing as npt
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from fakes import FakeClassifier, FakeModels
from gateway_shop import Shop, draw, fill
from sosie.engine.errors import BackendTimeoutError, BackendUnavailableError
from sosie.engine.inference import Pictures
from sosie.gateway.main import run_gateway
from sosie.gateway.server import SERVICE
from sosie.gateway.settings import GatewaySettings
from sosie.v1 import visual_search_pb2 as pb
from sosie.v1 import visual_search_pb2_grpc

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def until_health(channel: grpc.aio.Channel, wanted: int) -> None:
    """Waits until the health service answers `wanted`."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    async with asyncio.timeout(10):
        async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE)):
            if answer.status == wanted:
                return


async def test_health_follows_the_backends(filled: Shop, settings: GatewaySettings) -> None:
    """Health is NOT_SERVING until the models answered and the collection was read, and follows them both ways."""
    filled.models.error = BackendUnavailableError("away")
    async with (
        run_gateway(settings, filled.backends()) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        await until_health(channel, NOT_SERVING)
        filled.models.error = None
        await until_health(channel, SERVING)
        search: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        assert (await search.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)).hits
        filled.models.error = BackendUnavailableError("away again")
        await until_health(channel, NOT_SERVING)


async def test_the_first_call_meets_backends_that_were_looked_at(
    filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that comes while the gateway starts waits for the first look at Triton and Milvus, and is answered."""
    probe, asked, answering = filled.models.probe, asyncio.Event(), asyncio.Event()

    async def answer_late(**named: Any) -> Any:
        asked.set()
        await answering.wait()
        return await probe(**named)

    monkeypatch.setattr(filled.models, "probe", answer_late)
    starting = run_gateway(settings, filled.backends())
    started = asyncio.create_task(starting.__aenter__())
    await asyncio.wait_for(asked.wait(), 10)
    assert not started.done()
    answering.set()
    gateway = await asyncio.wait_for(started, 10)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel:
            search: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
            assert (await search.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)).hits
    finally:
        await starting.__aexit__(None, None, None)


async def test_health_outlives_what_nobody_expected(
    filled: Shop, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that no layer raises on purpose does not end the watch over the backends."""
    probe, failures = filled.store.probe, iter([KeyError("what nobody expected")])

    async def fail_once(**named: Any) -> Any:
        for error in failures:
            raise error
        return await probe(**named)

    monkeypatch.setattr(filled.store, "probe", fail_once)
    async with (
        run_gateway(settings, filled.backends()) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        await until_health(channel, SERVING)
    assert "what nobody expected" in caplog.text


async def test_reflection_lists_the_service(channel: grpc.aio.Channel) -> None:
    """A generic client learns from reflection which services there are."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    answer = await call.read()
    assert SERVICE in {service.name for service in answer.list_services_response.service}


async def test_reflection_that_is_off(filled: Shop, settings: GatewaySettings) -> None:
    """A gateway that is told so lets nobody ask which services there are."""
    async with (
        run_gateway(settings.model_copy(update={"reflection": False}), filled.backends()) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_bound_of_open_calls(filled: Shop, settings: GatewaySettings) -> None:
    """Beyond the bound of open calls, of whatever kind, a call is refused, and taken again once others ended."""
    async with (
        run_gateway(settings.model_copy(update={"max_calls": 2}), filled.backends()) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2)]
        for watch in watches:
            await watch.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        watches[0].cancel()
        async with asyncio.timeout(10):
            while not await answers(stub):
                pass


async def answers(stub: Any) -> bool:
    """Whether the health service takes a call."""
    try:
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.aio.AioRpcError:
        return False
    return True


async def test_metrics(filled: Shop, settings: GatewaySettings, unused_tcp_port: int) -> None:
    """Prometheus finds the calls by method and code."""
    with_metrics = settings.model_copy(update={"metrics": f"127.0.0.1:{unused_tcp_port}"})
    backends = filled.backends()
    await backends.refresh()
    async with (
        run_gateway(with_metrics, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        await stub.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.SearchByText(pb.SearchByTextRequest(), timeout=5)
        url = f"http://{with_metrics.metrics}/metrics"
        page = await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).read().decode())
    assert 'sosie_requests_total{code="OK",method="SearchByText"} 1.0' in page
    assert 'sosie_requests_total{code="INVALID_ARGUMENT",method="SearchByText"} 1.0' in page
    assert 'sosie_step_duration_seconds_count{step="search"} 1.0' in page


async def test_taken_port(filled: Shop, settings: GatewaySettings) -> None:
    """A second gateway on a port is refused, and the first goes on."""
    async with run_gateway(settings, filled.backends()) as gateway:
        second = settings.model_copy(update={"listen": f"127.0.0.1:{gateway.port}"})
        with pytest.raises(OSError, match="cannot listen"):
            async with run_gateway(second, filled.backends()):
                pass


async def test_first_index_is_found_at_once(shop: Shop, settings: GatewaySettings) -> None:
    """A search right after the first catalog was indexed is answered, before the next look at the store."""
    backends = shop.backends()
    await backends.refresh()
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        await until_health(channel, NOT_SERVING)
        await fill(shop)
        search: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        assert (await search.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)).hits


async def test_reloaded_models_are_away_not_other(filled: Shop) -> None:
    """While a model is loaded again, searches are told to come back, not that index and encoders differ."""
    backends = filled.backends()
    await backends.refresh()
    filled.models.error = BackendUnavailableError("its process died")
    await backends.refresh()
    filled.models.error = None
    filled.models.next = partly = FakeModels([], [FakeClassifier()])
    await backends.refresh()
    assert isinstance(backends.problem, BackendUnavailableError)
    with pytest.raises(BackendUnavailableError):
        await backends.for_search()
    assert set(backends.classifiers()) == {"hue"}, "what is still there answers"
    partly.next = FakeModels([filled.encoder], [FakeClassifier()])
    await backends.refresh()
    assert backends.problem is None


async def test_indexed_pictures_need_no_encoder(filled: Shop, settings: GatewaySettings) -> None:
    """While the encoder does not answer, indexed pictures are still searched with; what needs it is refused at once."""
    backends = filled.backends()
    await backends.refresh()
    filled.models.error = BackendTimeoutError("it hangs")
    await backends.refresh()
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        indexed = pb.Image(indexed=pb.IndexedPicture(shop="shop", product_id="red-hat"))
        assert (await stub.SearchByImage(pb.SearchByImageRequest(image=indexed), timeout=5)).hits
        for ask in (
            stub.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5),
            stub.SearchByImage(pb.SearchByImageRequest(image=pb.Image(data=draw("red", "hat"))), timeout=5),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask
            assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_the_first_look_keeps_nobody_waiting(filled: Shop) -> None:
    """While the first look at the models goes on, health waits for it, and models that answer are asked already."""
    going = asyncio.Event()

    class Waking(FakeClassifier):
        async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
            await going.wait()
            return await super().classify(pictures, timeout=timeout)

    filled.models = FakeModels([filled.encoder], [Waking()])
    backends = filled.backends()
    looking = asyncio.create_task(backends.refresh())
    async with asyncio.timeout(10):
        while not backends.space:  # noqa: ASYNC110 -- what is awaited is inside the backends, and has no event of its own
            await asyncio.sleep(0)
    assert backends.problem is not None
    (await backends.for_search()).check()
    backends.check_classifier("hue")
    going.set()
    await looking
    assert backends.problem is None


async def test_one_sick_classifier_leaves_searches_alone(filled: Shop, settings: GatewaySettings) -> None:
    """While a classifier does not answer, health says so, searches are answered, and its labels are refused at once."""

    class Hanging(FakeClassifier):
        async def classify(self, pictures: Pictures, *, timeout: float) -> npt.NDArray[np.float32]:
            raise BackendTimeoutError("it hangs")

    filled.models = FakeModels([filled.encoder], [Hanging()])
    backends = filled.backends()
    await backends.refresh()
    assert isinstance(backends.problem, BackendTimeoutError)
    async with (
        run_gateway(settings, backends) as gateway,
        grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}") as channel,
    ):
        stub: Any = visual_search_pb2_grpc.VisualSearchServiceStub(channel)
        assert (await stub.SearchByText(pb.SearchByTextRequest(sentence="red"), timeout=5)).hits
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Classify(pb.ClassifyRequest(image=pb.Image(data=draw("red", "hat"))), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_models_that_are_loaded_later(filled: Shop) -> None:
    """An encoder that is ready only after the gateway started is found."""
    encoder = filled.encoder
    filled.models = FakeModels([], [FakeClassifier()])
    backends = filled.backends()
    await backends.refresh()
    assert backends.problem is not None
    filled.models.next = FakeModels([encoder], [FakeClassifier()])
    await backends.refresh()
    assert backends.problem is None
