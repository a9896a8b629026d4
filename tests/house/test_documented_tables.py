"""The tables of the documentation say what the code says."""

import argparse
import json
import re
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from documented import ROOT, read_blocks, read_table
from sosie.engine.errors import EngineError, InputError
from sosie.engine.inference import ServedModel
from sosie.gateway import command, errors
from sosie.gateway.logs import JsonFormatter
from sosie.gateway.settings import GatewaySettings
from sosie.gateway.telemetry import REFUSALS, STEPS, Telemetry
from sosie.training import colour, mini, minilm, parts
from sosie.v1 import visual_search_pb2

CONTRACT = ROOT / "docs" / "contract.md"
GATEWAY = ROOT / "docs" / "gateway.md"
TELEMETRY = ROOT / "docs" / "telemetry.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
PROTO = ROOT / "proto" / "sosie" / "v1" / "visual_search.proto"


def test_errors() -> None:
    """The table of errors has the code, the reason and the delay of every rule, and nothing else."""
    rules = [*errors.RULES.values(), errors.find_rule(RuntimeError())]
    table = read_table(CONTRACT, "| code | reason | when | retry |")
    assert {(code, reason) for code, reason, _, _ in table} == {(rule.code.name, rule.reason) for rule in rules}
    assert len(table) == len(rules)
    delays = {rule.reason: f"{rule.retry_after:g} s" if rule.retry_after else "" for rule in rules}
    assert {reason: retry for _, reason, _, retry in table} == {
        **delays,
        "OVERLOADED": "estimated",
        "RATE_LIMITED": "estimated",
    }


def comments() -> dict[str, str]:
    """What the contract says of each message and of each field, by Message.field."""
    found = {}
    message, said = "", ""
    for line in map(str.strip, PROTO.read_text().splitlines()):
        if match := re.match(r"message (\w+) \{", line):
            message = match[1]
            found[message], said = said, ""
        elif line.startswith("//"):
            said += line
        elif match := re.match(r"(?:optional |repeated )?[\w.<>, ]+ (\w+) = \d+;", line):
            found[f"{message}.{match[1]}"] = said
            said = ""
        elif not line:
            said = ""
    return found


BOUNDS = read_table(CONTRACT, "| field | takes | where absent |")


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d+(?:,\d{3})*", text))


@pytest.mark.parametrize(("field", "takes", "absent"), BOUNDS, ids=[row[0] for row in BOUNDS])
def test_bounds(field: str, takes: str, absent: str) -> None:
    """Every number in the table of bounds is in the comment of a field that the contract has."""
    message, _, name = field.partition(".")
    assert name in visual_search_pb2.DESCRIPTOR.message_types_by_name[message].fields_by_name
    said = comments()["Crop" if field == "Image.crop" else field]  # a box's bounds stand above its message
    if field == "Filter.price":
        said += comments()["PriceRange.currency_code"]
    assert numbers(f"{takes}; {absent}") <= numbers(said)


def test_every_bound_is_listed() -> None:
    """Every field of a question whose comment states a number is in the table of bounds."""
    questions = {"SearchByImageRequest", "SearchByTextRequest", "ClassifyRequest", "FreeLabels", "Image"}
    questions |= {"SearchOptions", "Filter", "PriceRange"}
    stated = {
        field
        for field, said in comments().items()
        if field.partition(".")[0] in questions and numbers(said) and field != "PriceRange.currency_code"
    }
    assert stated - {row[0] for row in BOUNDS} == set()


def default_of(name: str) -> str:
    default: Any = GatewaySettings.model_fields[name].default
    if name == "slots":
        return "two a core"
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)


def test_settings() -> None:
    """The table of settings has every setting with its default, and marks those that are options too."""
    table = read_table(GATEWAY, "| variable | default | what |")
    documented = {variable.rstrip(" *"): default for variable, default, _ in table}
    assert documented == {f"SOSIE_{name.upper()}": default_of(name) for name in GatewaySettings.model_fields}
    options = {variable.rstrip(" *") for variable, _, _ in table if "*" in variable}
    assert options == {f"SOSIE_{name.upper()}" for name in option_names()}


def option_names() -> set[str]:
    """The options of `sosie gateway`."""
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return set(vars(parser.parse_args([])))


def read_metrics() -> list[Metric]:
    """The gateway's metrics as Prometheus reads them, with at least one series each."""
    telemetry = Telemetry()
    telemetry.note_models([ServedModel("mini_image", "image_encoder", "mini-1", {1: 1})], "mini-1")
    for gauge in (telemetry.in_flight, telemetry.queued):
        gauge.labels("Classify")
    return list(text_string_to_metric_families(generate_latest(telemetry.registry).decode()))


def test_metrics() -> None:
    """The table of metrics has every metric of the gateway with its kind and its labels, and nothing else."""
    existing = {
        metric.name + ("_total" if metric.type == "counter" else ""): (
            metric.type,
            {label for sample in metric.samples for label in sample.labels} - {"le"},
        )
        for metric in read_metrics()
        if metric.name.startswith("sosie_")
    }
    table = read_table(TELEMETRY, "| metric | kind | labels | what |")
    assert {name: (kind, set(labels.split(", ")) - {""}) for name, kind, labels, _ in table} == existing


def test_alarms() -> None:
    """What the page asks of Prometheus are metrics, labels and values that the gateway has."""
    names, values = set(), set()
    for metric in read_metrics():
        for sample in metric.samples:
            names.add(sample.name)
            values |= set(sample.labels.items())
    page = TELEMETRY.read_text()
    assert set(re.findall(r"\b(?:sosie|process)_\w+_\w+", page)) - {"process_"} <= names | {
        metric.name for metric in read_metrics()
    }
    asked = {
        (label, value)
        for block in [*read_blocks(TELEMETRY, "yaml"), *read_blocks(TELEMETRY, "promql")]
        for label, alternatives in re.findall(r'(\w+)[=!]~?"([^"]*)"', block)
        for value in alternatives.split("|")
    }
    assert asked - values == {("job", "sosie")}  # Prometheus' own


def test_refusals_and_steps() -> None:
    """The table of metrics lists every step and every reason for a refusal."""
    told = {name: what for name, _, _, what in read_table(TELEMETRY, "| metric | kind | labels | what |")}
    assert told["sosie_step_duration_seconds"].partition(": ")[2] == ", ".join(STEPS)
    assert told["sosie_refused_total"].partition(": ")[2] == ", ".join(REFUSALS)


def test_log_fields(caplog: pytest.LogCaptureFixture) -> None:
    """The table of the log's fields has every field that a line may have, and the example has no other."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    telemetry = Telemetry(log_sample=1)
    for error in (None, RuntimeError("unexpected"), EngineError("away"), InputError("sentence", "is blank")):
        observation = telemetry.observe("Classify", (("traceparent", trace),))
        with caplog.at_level("INFO"), observation.steps.measure("wait"):
            pass
        with caplog.at_level("INFO"):
            observation.finish(errors.find_rule(error).code if error else grpc.StatusCode.OK, error, "front")
    lines = [json.loads(JsonFormatter({"worker": 1}).format(record)) for record in caplog.records]
    (example,) = map(json.loads, read_blocks(TELEMETRY, "json"))
    documented = {name for name, _, _ in read_table(TELEMETRY, "| field | in | what |")}
    assert {name for line in lines for name in line} | {"left_out"} == documented
    assert list(example) == list(lines[0])


def test_parts() -> None:
    """The table of the bundle's parts has their sizes and default weights."""
    sizes = {"look": parts.LOOK_SIZE, "colour": colour.SIZE, "meaning": minilm.SIZE, "words": minilm.SIZE}
    header = "| part | what it holds | numbers | weight, picture | weight, sentence |"
    documented = {
        name: (int(size), float(picture or 0), float(sentence or 0))
        for name, _, size, picture, sentence in read_table(ARCHITECTURE, header)
    }
    assert documented == {name: (size, *mini.WEIGHTS[name]) for name, size in sizes.items()}
