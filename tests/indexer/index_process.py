"""`sosie index` in a process of its own, with the encoder's double in Triton's place and a real index.

Takes the command's arguments, always runs without words, and says `encoded N` on stderr after each batch.
"""

import argparse
import sys
from typing import Any

from fakes import FakeEncoder
from sosie.engine.inference import Pictures
from sosie.engine.space import Parts
from sosie.indexer import command
from sosie.indexer.encoding import servers


class TellingEncoder(FakeEncoder):
    """Says how many pictures it has encoded."""

    async def encode_images(self, pictures: Pictures, *, timeout: float) -> Parts:
        parts = await super().encode_images(pictures, timeout=timeout)
        sys.stderr.write(f"encoded {self.pictures_encoded}\n")
        sys.stderr.flush()
        return parts


class OneModel:
    """TritonModels with that encoder."""

    def __init__(self) -> None:
        encoder = TellingEncoder()
        self.encoders = {encoder.space.name: encoder}

    @classmethod
    async def connect(cls, address: str, *, timeout: float) -> "OneModel":
        return cls()

    async def close(self) -> None:
        pass


if __name__ == "__main__":
    here: Any = servers
    here.TritonModels = OneModel
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    sys.exit(command.run(parser.parse_args([*sys.argv[1:], "--without-words"])))
