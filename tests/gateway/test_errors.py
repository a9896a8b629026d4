"""The one table from the engine's errors to a caller's."""

from urllib import parse

import grpc
from google.rpc import error_details_pb2, status_pb2

from sosie.engine import errors as engine
from sosie.gateway.admission import OverloadedError
from sosie.gateway.errors import DOMAIN, RULES, to_status


def grown(kind: type[engine.EngineError]) -> set[type[engine.EngineError]]:
    """A class and all that stand below it."""
    return {kind}.union(*(grown(child) for child in kind.__subclasses__()))


def told(error: Exception) -> status_pb2.Status:
    """What a caller's library reads of an error."""
    return status_pb2.Status.FromString(dict(to_status(error).trailing_metadata)["grpc-status-details-bin"])


def test_every_error_has_a_rule() -> None:
    """Each error that the engine or the gateway can raise on purpose stands in the table."""
    assert grown(engine.EngineError) - {engine.EngineError} == set(RULES)


def test_reasons_are_upper_snake() -> None:
    """Reasons are what google.rpc.ErrorInfo asks for, and different errors have different ones."""
    reasons = [rule.reason for rule in RULES.values()]
    assert all(reason.replace("_", "").isupper() for reason in reasons)
    assert len(set(reasons)) == len(reasons)


def test_unexpected_errors_tell_nothing() -> None:
    """An error that nobody expected is INTERNAL, and its message stays here."""
    status = told(KeyError("/secret/path"))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "secret" not in status.message


def test_details() -> None:
    """The domain and reason are always told, the field where one is at fault, the delay where a retry may help."""
    status = told(engine.InputError("image.crop", "is empty"))
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    status.details[0].Unpack(info)
    status.details[1].Unpack(bad)
    assert (info.domain, info.reason) == (DOMAIN, "INVALID_INPUT")
    assert [(v.field, v.description) for v in bad.field_violations] == [("image.crop", "is empty")]

    retry = error_details_pb2.RetryInfo()
    told(OverloadedError(0.25)).details[1].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250


def test_long_texts_are_clipped() -> None:
    """What quotes a caller's long value is cut, so that the trailers stay within what clients take."""
    value = "😀" * 5000
    call = to_status(engine.InputError(f"options.weights[{value!r}]", f"no such part {value}"))
    sizes = [len(parse.quote(call.details)), *(len(data) * 4 // 3 for _, data in call.trailing_metadata)]
    assert sum(sizes) < 8192
    assert call.details.endswith("…")
