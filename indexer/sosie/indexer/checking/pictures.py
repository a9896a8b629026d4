"""Whether a catalog's pictures are there, and whether other products show the same."""

import hashlib
from dataclasses import dataclass

from sosie.engine.errors import InputError
from sosie.engine.image import prepare
from sosie.engine.inference import ImageInput
from sosie.indexer.encoding.twins import pixel_digest
from sosie.indexer.pictures import PictureError, PictureFolder

_LOOK = ImageInput(size=224, resize="longest")


@dataclass(frozen=True)
class Look:
    """What a look at a file gave: the digest of what it shows, or why it cannot be used, with what that counts as."""

    digest: bytes = b""
    reason: str = ""
    problem: str = ""


class PictureCheck:
    """Looks at files of the pictures folder; safe to use from threads.

    Without `decode` a file is there or not, and two pictures are the same where their paths are. With it each is read
    and decoded, and they are the same where their pixels are.
    """

    def __init__(self, folder: PictureFolder, *, decode: bool) -> None:
        self._folder = folder
        self._decode = decode

    def look(self, path: str) -> Look:
        try:
            if not self._decode:
                return Look(self._digest_file(path))
            return Look(pixel_digest(prepare(self._folder.read(path), _LOOK)))
        except PictureError as error:
            return Look(reason="picture missing", problem=str(error))
        except InputError as error:
            return Look(reason="picture damaged", problem=f"{error.problem}: {path!r}")

    def _digest_file(self, path: str) -> bytes:
        self._folder.check(path)
        return hashlib.blake2b(path.encode(), digest_size=16).digest()
