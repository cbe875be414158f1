"""The folder of the demo: made anew each time, and only if the demo made it before."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path

from billing.errors import Refused

_MARK = ".made-by-billing-demo"
_DATABASE = "billing.db"


class Workspace:
    """A fresh folder. Raises Refused for one that holds anything but an earlier demo."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rebuilt = folder.exists()
        if folder.exists() and not folder.is_dir():
            raise Refused(f"{folder} is not a folder; choose another with: billing demo --folder DIR")
        if folder.exists() and any(folder.iterdir()) and not (folder / _MARK).exists():
            raise Refused(
                f"{folder} was not made by the demo, which would replace what is in it; "
                "choose another with: billing demo --folder DIR"
            )
        folder.mkdir(parents=True, exist_ok=True)
        # Only what the demo writes: what else somebody put there stays.
        for old in (*folder.glob(f"{_DATABASE}*"), *folder.glob("*.ndjson.gz"), *folder.glob("*.html")):
            old.unlink()
        (folder / _MARK).write_text("billing demo replaces its files in this folder each time it runs.\n")

    @property
    def database_url(self) -> str:
        return f"sqlite:///{(self.folder / _DATABASE).as_posix()}"

    def write_events(self, name: str, pieces: Iterable[bytes]) -> Path:
        """A compressed file of events; the same events make the same bytes."""
        path = self.folder / f"{name}.ndjson.gz"
        with (
            path.open("wb") as file,
            gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed,
        ):
            for piece in pieces:
                packed.write(piece)
        return path
