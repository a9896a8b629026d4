"""Putting a contact sheet together: pictures from this machine, the page into its file."""

import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from sosie.client.contact_sheet import page
from sosie.client.local_pictures import LocalPictures
from sosie.client.questions import MAX_IMAGE_BYTES, ImageSource, IndexedPicture
from sosie.client.thumbnails import data_uri

QUERY_SIDE = 560
HIT_SIDE = 400
"""Pixels of the longer side: twice what the page shows, for screens of double density."""


class PictureFiles:
    """Data URIs of indexed pictures whose files are at hand; each file is read once."""

    def __init__(self, pictures: LocalPictures) -> None:
        self._pictures = pictures
        self._uris: dict[Path, str | None] = {}

    def uri(self, picture: IndexedPicture) -> str | None:
        """None where the file is not known, cannot be read or is no picture."""
        path = self._pictures.find(picture)
        if path is None:
            return None
        if path not in self._uris:
            self._uris[path] = _read_uri(path)
        return self._uris[path]


def _read_uri(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError:  # a page with a picture less is still a page
        return None
    return data_uri(data, side=HIT_SIDE) if len(data) <= MAX_IMAGE_BYTES else None


def photo_uri(picture: ImageSource | None) -> str | None:
    """The data URI of a photo that a question was asked with; None where it was asked with none."""
    return data_uri(picture, side=QUERY_SIDE) if isinstance(picture, bytes) else None


def write_sheet(command: str, path: Path, sections: Iterable[str], address: str) -> None:
    """Writes the page and says where; ends the command with one line where the file cannot be written."""
    text = page(sections, address=address, time=datetime.now().astimezone())
    try:
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise SystemExit(f"sosie {command}: --html {path}: {error.strerror}") from None
    print(f"contact sheet: {path}", file=sys.stderr)
