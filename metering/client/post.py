"""One request with a batch, over HTTP."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from metering.client.answers import Reply

if TYPE_CHECKING:
    import httpx

PATH = "/v1/events"
TIMEOUT_SECONDS = 30.0
_ZIPPED_FROM_BYTES = 1024


class NoAnswer(Exception):  # noqa: N818 - reads as what happened
    """Nothing came back: what became of the batch is not known."""


class HttpPost:
    """Posts to the service at `url`. httpx is imported, and connects, with the first batch. Raises ValueError
    for an address that is none."""

    def __init__(self, url: str, key: str, http: httpx.Client | None = None) -> None:
        parts = urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url {url!r} is not the service's address, such as https://billing.example.com")
        if not key or not key.isascii() or not key.isprintable():
            raise ValueError("key is not an API key; make one with: billing keys create --scope ingest")
        self.url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}{PATH}"
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
        self._http = http
        self._given = http is not None

    def __call__(self, body: bytes) -> Reply:
        """Raises NoAnswer."""
        import httpx

        if self._http is None:
            # A redirect could lead to a page that swallows the batch, and would be handed the key.
            self._http = httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False)
        headers = dict(self._headers)
        if len(body) >= _ZIPPED_FROM_BYTES:
            body = gzip.compress(body, 5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        try:
            answer = self._http.post(self.url, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise NoAnswer(str(error) or type(error).__name__) from None
        return Reply(answer.status_code, answer.headers, answer.content)

    def close(self) -> None:
        if self._http is not None and not self._given:
            self._http.close()
