"""Brings the report of a run that ended to where machines look for it."""

import http.client
import json
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import pushadd_to_gateway, write_to_textfile

from sosie.indexer.faults import describe_os_error
from sosie.indexer.reporting.metrics import make_registry
from sosie.indexer.reporting.options import ReportingOptions
from sosie.indexer.target.state import write_atomically

JOB = "sosie_index"
"""The job by which a pushgateway groups; the group's other label is the collection."""

TIMEOUT = 10.0
"""Seconds for the pushgateway."""


def publish(options: ReportingOptions, report: Mapping[str, Any], collection: str) -> list[str]:
    """Writes the summary and the metrics; gives a line for each place that could not be reached.

    The report of a run is worth less than the run: what fails here changes nothing of how the run ended.
    """
    registry = make_registry(report, collection)
    steps: dict[str, Callable[[], object]] = {}
    if options.summary is not None:
        path, text = options.summary, json.dumps(report, ensure_ascii=False) + "\n"
        steps["--summary"] = lambda: write_atomically(path, text)
    if options.textfile is not None:
        textfile = str(options.textfile)
        steps["--metrics-textfile"] = lambda: write_to_textfile(textfile, registry)
    if options.pushgateway is not None:
        gateway = options.pushgateway
        steps[f"--pushgateway {gateway}"] = lambda: pushadd_to_gateway(
            gateway, JOB, registry, grouping_key={"collection": collection}, timeout=TIMEOUT
        )
    problems = []
    for name, step in steps.items():
        try:
            step()
        except OSError as error:
            problems.append(f"{name}: {describe_os_error(error)}")
        except (ValueError, http.client.HTTPException) as error:  # what is no URL; what is no HTTP server
            problems.append(f"{name}: {error}")
    return problems
