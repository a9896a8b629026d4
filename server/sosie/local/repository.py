"""The model repository on disk: which folders hold a model that can be served."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sosie.local.errors import LocalError

BUILD_HINT = "build one with `sosie models build mini`, or name another with --models"


@dataclass(frozen=True)
class Repository:
    """`models` have their weights, `skipped` are the model folders without."""

    folder: Path
    models: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    @classmethod
    def scan(cls, folder: Path) -> Self:
        """Looks for `NAME/config.pbtxt` and `NAME/1/model.onnx`. Raises LocalError where no model can be served."""
        if not folder.is_dir():
            raise LocalError(f"there is no model repository {folder}: {BUILD_HINT}")
        configured = sorted(path.parent for path in folder.glob("*/config.pbtxt"))
        models = tuple(path.name for path in configured if (path / "1" / "model.onnx").is_file())
        if not models:
            raise LocalError(f"no model in {folder} has its weights (1/model.onnx): {BUILD_HINT}")
        return cls(folder.resolve(), models, tuple(path.name for path in configured if path.name not in models))
