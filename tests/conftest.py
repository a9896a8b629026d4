"""Fixtures that several rooms' tests share."""

import os
from collections.abc import Iterator

import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before a test imports onnxruntime, which looks for it once

pytest_plugins = ["local_fixtures", "milvus_fixtures", "ray_fixtures", "stack_fixtures"]


@pytest.fixture(scope="session", autouse=True)
def index_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What indexers keep of their runs stays out of the folder that the tests are started in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOSIE_STATE", str(tmp_path_factory.mktemp("index-state")))
        yield
