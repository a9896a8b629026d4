"""The three rpcs: check, admit, ask the engine, answer."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any, NoReturn

import grpc.aio
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from sosie.engine.errors import BackendTimeoutError, BackendUnavailableError, InputError
from sosie.engine.image import Crop
from sosie.engine.inference import Classifier
from sosie.engine.labels import label_sentences, score_labels
from sosie.engine.search import Breadth, Wanted, find
from sosie.engine.space import Parts, Query, build_query
from sosie.gateway import answers, questions
from sosie.gateway.admission import Admission
from sosie.gateway.backends import Backends, Embedder
from sosie.gateway.call import Call
from sosie.gateway.correlation import REQUEST_ID
from sosie.gateway.errors import find_rule, to_status
from sosie.gateway.gate import Gate
from sosie.gateway.inputs import Inputs
from sosie.gateway.keys import Keyring
from sosie.gateway.lag import LoopLag
from sosie.gateway.telemetry import METHODS, Telemetry
from sosie.gateway.text_embeddings import TextEmbeddings
from sosie.gateway.weighting import Category, Weighting, run_beside
from sosie.v1 import visual_search_pb2 as pb

_Handle = Callable[[Any, Call], Awaitable[bytes]]


class VisualSearchService:
    """Answers with what `backends` know; `decoders` are the threads that pictures are decoded in.

    Of each method `slots` calls are worked on at once and `queue` wait; a call without a deadline gets
    `default_deadline` seconds. The vectors of the last `text_cache` sentences are kept. `gate` tells which calls
    still come in, `keyring` whose; `weighting` gives questions the weights of their category. What `lag` tells is
    taken off every deadline: the answer, too, will wait for the loop.
    """

    def __init__(
        self,
        backends: Backends,
        *,
        decoders: Executor,
        telemetry: Telemetry,
        slots: int,
        queue: int,
        default_deadline: float,
        text_cache: int,
        gate: Gate,
        keyring: Keyring,
        weighting: Weighting,
        lag: LoopLag,
    ) -> None:
        self._backends = backends
        self._gate = gate
        self._keyring = keyring
        self._weighting = weighting
        self._lag = lag
        self._inputs = Inputs(decoders)
        self._breadth = Breadth()
        self._texts = TextEmbeddings(text_cache, telemetry.count_texts)
        self._telemetry = telemetry
        self._default_deadline = default_deadline
        # One each, so that a flood of one kind of question leaves the others their room.
        self._admissions = {method: Admission(slots, queue) for method in METHODS}
        for method, admission in self._admissions.items():
            telemetry.in_flight.labels(method).set_function(partial(getattr, admission, "in_flight"))
            telemetry.queued.labels(method).set_function(partial(getattr, admission, "waiting"))

    def handlers(self) -> dict[str, "grpc.RpcMethodHandler[Any, Any]"]:
        """What a server calls for each rpc.

        Requests come as bytes, since gRPC takes one that cannot be read for a fault of the server; answers leave as
        bytes, too (see answers). To gRPC they are streams of one message, which is the same on the wire: a handler of
        those is called before the message was received, and what is too much is refused without its 20 MiB.
        """
        rpcs: dict[str, tuple[type[Message], _Handle]] = {
            "Classify": (pb.ClassifyRequest, self._classify),
            "SearchByImage": (pb.SearchByImageRequest, self._search_by_image),
            "SearchByText": (pb.SearchByTextRequest, self._search_by_text),
        }
        return {
            method: grpc.stream_unary_rpc_method_handler(self._make_handler(method, kind, handle))
            for method, (kind, handle) in rpcs.items()
        }

    def _make_handler(
        self, method: str, kind: type[Message], handle: _Handle
    ) -> Callable[[Any, Any], Awaitable[bytes]]:
        async def answer(_requests: Any, context: Any) -> bytes:  # no partial: gRPC asks of each call what it is
            return await self._answer(method, kind, handle, context)

        return answer

    async def _answer(self, method: str, kind: type[Message], handle: _Handle, context: Any) -> bytes:
        """Runs a call within its deadline; errors leave by the one table."""
        metadata = context.invocation_metadata()
        observation = self._telemetry.observe(method, metadata)
        code = grpc.StatusCode.CANCELLED  # what it stays if the caller goes away
        error: Exception | None = None
        caller = ""
        try:
            async with self._gate:
                caller = self._keyring.admit(metadata)
                seconds = context.time_remaining()
                left = (self._default_deadline if seconds is None else seconds) - self._lag.seconds
                call = Call(left, self._admissions[method], observation.steps)
                call.check()
                response = await handle(questions.read_request(kind, await _receive(context, call)), call)
            code = grpc.StatusCode.OK
        except Exception as raised:  # noqa: BLE001 - nothing leaves but by the table
            error = self._explain(raised)
            code = find_rule(error).code
            await _abort(context, error, observation.request_id)
        else:
            return response
        finally:
            observation.finish(code, error, caller)

    def _explain(self, error: Exception) -> Exception:
        """A call that waited in vain for a backend that is known to be away was not slow: the backend was away."""
        if isinstance(error, BackendUnavailableError | BackendTimeoutError):
            self._backends.doubt()
        if isinstance(error, BackendTimeoutError):
            problem = self._backends.problem
            if isinstance(problem, BackendUnavailableError | BackendTimeoutError):
                return BackendUnavailableError(str(problem))
        return error

    async def _classify(self, request: pb.ClassifyRequest, call: Call) -> bytes:
        crop = questions.read_image(request.image)
        top_k = questions.read_labels_wanted(request)
        classifiers = self._backends.classifiers()
        label_sets = questions.read_label_sets(request.label_sets, classifiers)
        if request.image.HasField("indexed") and any(label_set.HasField("served") for label_set in label_sets):
            raise InputError("label_sets", "an indexed picture can be scored against free labels only: send its bytes")
        async with call:
            classifications = []
            embedder, parts = None, None
            for label_set in label_sets:
                if label_set.HasField("served"):
                    self._backends.check_classifier(label_set.served)
                    classifier = classifiers[label_set.served]
                    found = await self._score_served(classifier, request.image.data, crop, top_k, call)
                else:
                    if embedder is None or parts is None:
                        embedder = self._backends.for_labels()
                        parts = await self._inputs.image_parts(embedder, request.image, crop, call)
                    found = await self._score_free(embedder, label_set.free, parts, top_k, call)
                classifications.append(found)
        return answers.write_classified(classifications, space=embedder.space if embedder else None, steps=call.steps)

    async def _score_free(
        self, embedder: Embedder, free: pb.FreeLabels, parts: Parts, top_k: int, call: Call
    ) -> pb.Classification:
        space = embedder.space
        if space.label_part not in parts:
            raise InputError("image.indexed", "this picture was indexed without what labels are scored against")
        texts = await self._texts.embed_all(embedder, label_sentences(space, free.labels), call)
        scores = score_labels(space, texts, parts)
        return answers.write_classification(free.name or "free", free.labels, scores, top_k)

    async def _score_served(
        self, classifier: Classifier, data: bytes, crop: Crop, top_k: int, call: Call
    ) -> pb.Classification:
        scores = await self._ask_classifier(classifier, data, crop, call, timeout=call.left())
        return answers.write_classification(classifier.label_set, classifier.labels, scores, top_k)

    async def _ask_classifier(
        self, classifier: Classifier, data: bytes, crop: Crop, call: Call, *, timeout: float
    ) -> npt.NDArray[np.float32]:
        """The probabilities [labels] of a picture that was sent."""
        pictures = await self._inputs.decode(data, classifier.image_input, crop, call)
        with call.steps.measure("classify"):
            scores: npt.NDArray[np.float32] = (await classifier.classify(pictures, timeout=timeout))[0]
        return scores

    async def _see(
        self, embedder: Embedder, request: pb.SearchByImageRequest, crop: Crop, call: Call
    ) -> tuple[Parts, Category]:
        """The picture's parts and its category: the filter's, else the one that a classifier is sure of.

        The classifier is asked beside the encoder, so that it costs no time unless it is the slower one, and gets half
        of the time that is left: an answer without it is better than none.
        """
        image, options = request.image, request.options
        category = tuple(options.filter.category_prefix)
        label_set = self._weighting.label_set(category=category, own=options.weights)
        if not label_set or not image.HasField("data"):
            return await self._inputs.image_parts(embedder, image, crop, call), category

        async def score(classifier: Classifier) -> npt.NDArray[np.float32]:
            self._backends.check_classifier(label_set)
            return await self._ask_classifier(classifier, image.data, crop, call, timeout=call.left() / 2)

        embedder.check()
        # First, to be shared where both can.
        await self._inputs.decode(image.data, embedder.encoder.image_input, crop, call)
        return await run_beside(
            self._inputs.image_parts(embedder, image, crop, call),
            self._weighting.recognise(self._backends.classifiers(), label_set, score),
        )

    async def _search_by_image(self, request: pb.SearchByImageRequest, call: Call) -> bytes:
        crop = questions.read_image(request.image)
        sentence = questions.read_sentence(request.sentence) if request.HasField("sentence") else None
        wanted = questions.read_wanted(request.options)
        weights = questions.read_weights(request.options.weights)

        async def ask(embedder: Embedder) -> bytes:
            image, category = await self._see(embedder, request, crop, call)
            text = await self._texts.embed(embedder, sentence, call) if sentence else None
            query, category = self._build(embedder, weights, category, image, text)
            return await self._find(embedder, query, category, wanted, call)

        async with call:
            return await self._backends.answer(ask)

    async def _search_by_text(self, request: pb.SearchByTextRequest, call: Call) -> bytes:
        sentence = questions.read_sentence(request.sentence)
        wanted = questions.read_wanted(request.options)
        weights = questions.read_weights(request.options.weights)

        async def ask(embedder: Embedder) -> bytes:
            text = await self._texts.embed(embedder, sentence, call)
            query, category = self._build(embedder, weights, wanted.filter.category_prefix, None, text)
            return await self._find(embedder, query, category, wanted, call)

        async with call:
            return await self._backends.answer(ask)

    async def _find(self, embedder: Embedder, query: Query, category: Category, wanted: Wanted, call: Call) -> bytes:
        """The answer to a search; `category` is where the query's weights come from."""
        hits = await find(embedder.store, query, wanted, timeout=call.left(), steps=call.steps, breadth=self._breadth)
        return answers.write_found(
            hits,
            grouped=wanted.group_by_product,
            space=query.space,
            weights=query.weights,
            category=category,
            steps=call.steps,
        )

    def _build(
        self, embedder: Embedder, weights: dict[str, float], category: Category, image: Parts | None, text: Parts | None
    ) -> tuple[Query, Category]:
        """The query, and the category that gave it weights."""
        space = embedder.space
        chosen = self._weighting.choose(space, category, weights, image=image, text=text)
        try:
            return build_query(space, image=image, text=text, weights=chosen.weights), chosen.category
        except InputError as error:
            raise InputError(f"options.{error.field}", error.problem) from error


async def _receive(context: Any, call: Call) -> bytes:
    """The call's message. Raises InputError where none comes, in time or at all."""
    try:
        # A caller's own deadline is gRPC's to watch.
        async with asyncio.timeout(None if context.time_remaining() is not None else call.left()):
            received: bytes = await context.read()
    except TimeoutError as error:
        raise InputError("request", "did not arrive in time") from error
    if received is grpc.aio.EOF:  # type: ignore[attr-defined]  # the stubs lack it
        raise InputError("request", "is missing: send one message")
    return received


async def _abort(context: Any, error: Exception, request_id: str) -> NoReturn:
    """Ends the call; the request id goes along, so that a caller's complaint leads to the line in the log."""
    status: Any = to_status(error)
    await context.abort(status.code, status.details, (*status.trailing_metadata, (REQUEST_ID, request_id)))
    raise AssertionError("abort always raises")
