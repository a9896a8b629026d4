"""The configs that are committed in model_repository/; `python -m sosie.training.committed` writes them anew.

They hold what does not depend on weights. A build completes them with the model's self-description.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from sosie.training.served import clip_image, clip_text, resnet152, write_configs

MODELS = (resnet152(), clip_image(), clip_text())


def committed_configs() -> Mapping[str, bytes]:
    """The files' contents by their paths in the repository."""
    return {f"{model.name}/{path}": config for model in MODELS for path, config in write_configs(model).items()}


def write_committed(repository: Path) -> None:
    """Writes the configs into a model repository."""
    for path, config in committed_configs().items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(config)


if __name__ == "__main__":
    write_committed(Path(sys.argv[1] if len(sys.argv) > 1 else "model_repository"))
