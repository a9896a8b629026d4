"""Keeps onnxruntime to this machine; imported before anything that imports onnxruntime.

From 1.31 on its wheels for Linux write a device id and a database into the user's cache, and send what was run to their
makers. They look for this variable once, as they are imported.
"""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
