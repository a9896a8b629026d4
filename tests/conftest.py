"""Fixtures that several rooms' tests share."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before a test imports onnxruntime, which looks for it once

pytest_plugins = ["local_fixtures", "milvus_fixtures", "ray_fixtures", "stack_fixtures"]
