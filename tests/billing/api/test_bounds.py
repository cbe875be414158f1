"""Bodies are bounded in length, depth and encoding, on every route that takes one; and every answer is
secured."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.api.events import MAX_BODY_BYTES
from billing.api.middleware import MAX_DOCUMENT_BYTES, MAX_LIST_BYTES, MOST_NESTED
from billing.api.nesting import is_deeper
from billing.links import create_link
from tests.billing.api.client import Client, assert_problem, running
from tests.billing.api.test_auth import OTHERS, routes
from tests.billing.console.conftest import FORM, Operator
from tests.conftest import NewDatabase
from tests.events import runs
from tests.world import OCTOBER, World

JSON = {"Content-Type": "application/json"}
# Whatever a route does with a body that it takes.
BODIES = [
    (method, path) for method, path in routes() if method in ("POST", "PUT", "PATCH") and path != "/v1/events"
]
FORMATS = ("auto", "task-run", "prefect", "openlineage", "airflow", "cloudevents")
KINDS = (
    "application/json", "application/x-ndjson", "text/csv", "application/cloudevents+json",
    "application/cloudevents-batch+json",
)  # fmt: skip
MIB = 1 << 20


@pytest.fixture(scope="module")
def client(sqlite_databases: NewDatabase) -> Iterator[Client]:
    world = World(sqlite_databases())
    world.account("acme")
    world.send(runs(3))
    world.service.run_month(OCTOBER)
    with running(world) as client:
        yield client


def places(client: Client) -> list[tuple[str, dict[str, str]]]:
    """Where a body is taken that is no document of the API: forms of the console, and of a customer."""
    token = create_link(client.world.engine, "acme", now=client.world.instant).token
    admin = Operator(client)
    return [
        (f"/c/{token}/disputes", {}),
        ("/console/sign-in", {}),
        ("/console/sign-out", {}),
        ("/console/catalogue/preview", {"Cookie": f"billing_console={admin.secret}"}),
        ("/console/access/keys", {"Cookie": f"billing_console={admin.secret}"}),
    ]


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_too_long_is_refused(client: Client, method: str, path: str) -> None:
    """At once where its length is told, else as soon as it passes the limit."""
    most = MAX_LIST_BYTES if path == "/v1/corrections" else MAX_DOCUMENT_BYTES
    told = {"Content-Length": str(most + 1)}
    assert_problem(client.ask(method, path.format(**OTHERS), content=b"{", headers=JSON | told), 413)
    sent = 0

    async def on_and_on() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += MIB
            yield b" " * MIB

    answer = client.ask(method, path.format(**OTHERS), content=on_and_on(), headers=JSON)
    # A route that has no use for its body answers without it.
    if path == "/v1/stripe/webhook":
        assert answer.status_code == 503 and sent == 0  # there is no Stripe, and nothing is read
    else:
        assert answer.status_code in (413, 422, 404, 409, 200)
    assert sent <= most + 2 * MIB


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_body_that_is_too_deep_is_refused(client: Client, method: str, path: str) -> None:
    for deep in (b"[" * 50_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000, b"[" * 65 + b"]" * 65):
        answer = client.ask(method, path.format(**OTHERS), content=deep, headers=JSON)
        if path == "/v1/stripe/webhook":
            assert answer.status_code == 503  # there is no Stripe, and nothing is read
        else:
            assert answer.status_code in (422, 404), answer.text
            if answer.status_code == 422 and "nested" in answer.text:
                assert_problem(answer, 422, field="body", says="more than 64 deep")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize(("method", "path"), [*BODIES, ("POST", "/v1/events")])
def test_json_is_utf_8(client: Client, method: str, path: str, encoding: str) -> None:
    """RFC 8259, 8.1; whatever the Content-Type says of it."""
    body = json.dumps({"id": "umbrella", "account": "acme"}).encode(encoding)
    for kind in ("application/json", f"application/json; charset={encoding}"):
        answer = client.ask(method, path.format(**OTHERS), content=body, headers={"Content-Type": kind})
        if path == "/v1/stripe/webhook":
            assert answer.status_code == 503  # there is no Stripe, and nothing is read
        elif answer.status_code not in (404, 409):  # of a route that has no use for its body
            assert_problem(answer, 422, field="body", says="the body is not JSON in UTF-8")
    assert client.get("/v1/accounts/umbrella").status_code == 404


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_nor_does_a_file_that_is_too_deep_or_laughs_do_anything(client: Client, suffix: str) -> None:
    deep = ("[" * 20_000 + "]" * 20_000).encode()
    laugh = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    for path in ("/v1/plans", "/v1/plans/previews", "/v1/contracts"):
        for body in (deep, b"plan = " + deep, b"plan: " + deep, laugh.encode()):
            answer = client.post(path, content=body, headers={"Content-Type": f"application/{suffix}"})
            assert answer.status_code == 422 and len(answer.text) < 2_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", FORMATS)
def test_events_that_are_too_deep_cost_nobody_else(client: Client, kind: str, format: str) -> None:
    for deep in (b"[" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        place = f"/v1/events?account=acme&format={format}"
        answer = client.post(place, content=deep, headers={"Content-Type": kind})
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 200:
            assert answer.json()["accepted"] == 0


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Thirty megabytes that are thirty gigabytes."""
    member = gzip.compress(b"0" * (64 * MIB))
    return member * (MAX_BODY_BYTES // len(member))


@pytest.mark.parametrize(
    ("kind", "format"), [*((kind, "auto") for kind in KINDS), *((KINDS[0], format) for format in FORMATS)]
)
def test_a_gzip_bomb_is_refused_with_bounded_memory(
    client: Client, bomb: bytes, kind: str, format: str
) -> None:
    for encoding in ("gzip", "x-gzip") if format == "prefect" else ("gzip",):
        headers = {"Content-Type": kind, "Content-Encoding": encoding}
        tracemalloc.start()
        try:
            answer = client.post(f"/v1/events?account=acme&format={format}", content=bomb, headers=headers)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert_problem(answer, 413, says="decompressed")
        # The body twice, as it came and whole; and the 64 MiB that it may come to, before it is refused.
        assert peak < (2 * len(bomb) + 3 * 64 * MIB), peak


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "compress", "x"])
def test_other_encodings_are_not_read(client: Client, encoding: str) -> None:
    answer = client.post("/v1/events", content=b"[]", headers=JSON | {"Content-Encoding": encoding})
    assert_problem(answer, 415, field="Content-Encoding")


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_only_events_may_be_compressed(client: Client, method: str, path: str, encoding: str) -> None:
    answer = client.ask(
        method,
        path.format(**OTHERS),
        content=gzip.compress(b"{}"),
        headers=JSON | {"Content-Encoding": encoding},
    )
    assert_problem(answer, 415, field="Content-Encoding")


def test_forms_are_bounded_too(client: Client) -> None:
    for place, headers in places(client):
        for long in (b"a=" + b"x" * (2 * MIB), b"a=1&" * 300_000):
            answer = client.post(place, key=None, headers=FORM | headers, content=long)
            assert answer.status_code in (413, 422) or place.endswith("sign-out"), (place, answer.status_code)
        zipped = FORM | headers | {"Content-Encoding": "gzip"}
        assert client.post(place, key=None, headers=zipped, content=gzip.compress(b"")).status_code == 415


def test_a_form_of_many_parts_is_gone_through_once(client: Client) -> None:
    """Also before anybody is known: who is not signed in may send a form as well."""
    nested = b"".join(
        b"--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n" % (n, n + 1) for n in range(3_000)
    )
    part = b'--b0\r\nContent-Disposition: form-data; name="draft"\r\n\r\nx\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b0"}
    signed = {"Cookie": f"billing_console={Operator(client).secret}"}
    for body in (nested, part * 18_000, b"--b0\r\n" * 170_000, b"", b"--b0--", b"\r\n" * 500_000):
        for who in ({}, signed):
            place = "/console/catalogue/preview"
            answer = client.post(place, key=None, headers=kind | who, content=body)
            assert answer.status_code in (403, 422)


LEAF = st.none() | st.integers() | st.text(max_size=8) | st.sampled_from(['"', "[", "}", "\\", '\\"', "]]"])
DOCUMENTS = st.recursive(LEAF, lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text(), held))


def depth_of(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(DOCUMENTS, st.booleans())
def test_depth_is_that_of_the_document(document: Any, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    depth = depth_of(document)
    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


@given(st.binary() | st.text('"\\[]{}x').map(str.encode))
def test_depth_of_anything(text: bytes) -> None:
    assert is_deeper(text, 0) in (True, False)


def test_depth_is_found_in_one_pass() -> None:
    """Texts on which a search that tries again would take hours."""
    for part in (b'"\\', b'"', b'\\"', b"\\", b'"\\"', b'["'):
        is_deeper(b"[[" + part * MIB, 1 << 30)
        is_deeper(b"[" * 3 + part * MIB, 2)


@pytest.mark.parametrize(("method", "path"), [*routes(), ("GET", "/openapi.json"), ("GET", "/nowhere")])
def test_every_answer_is_secured(client: Client, method: str, path: str) -> None:
    """Whoever asks, and whatever comes of it."""
    for key in ("admin", None, "bk_admin_x"):
        headers = client.ask(method, path.format(**OTHERS), key=key).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["referrer-policy"] == "no-referrer"
        assert "strict-transport-security" not in headers and "server" not in headers
        for name in headers:
            assert len(headers.get_list(name)) == 1


def test_pages_keep_their_own_headers(client: Client) -> None:
    for place in ("/console/style.css", "/c/style.css", "/console/", "/c/x/"):
        headers = client.get(place, key=None).headers
        assert headers["x-content-type-options"] == "nosniff"
        for name in headers:
            assert len(headers.get_list(name)) == 1, name
    assert "immutable" in client.get("/c/style.css", key=None).headers["cache-control"]


@pytest.mark.parametrize(
    "place", ["/v1/accounts/", "/healthz/", "/console", "/console/accounts/", "/c", "/c/x"]
)
def test_nobody_is_sent_to_a_host_that_the_request_names(client: Client, place: str) -> None:
    for asked in (place, place + "?next=1"):
        answer = client.get(asked, key=None, headers={"Host": "evil.example"}, follow_redirects=False)
        assert "evil.example" not in str(answer.headers) + answer.text
        if answer.is_redirect:
            # Relative to where it was asked for, so that it holds behind whatever proxy.
            assert answer.headers["location"] == place.rpartition("/")[2] + "/"
        else:
            assert answer.status_code in (403, 404)
    assert client.get("/console", key=None, follow_redirects=False).is_redirect


def test_browsers_stay_with_https_where_that_is_used(sqlite_databases: NewDatabase) -> None:
    world = World(sqlite_databases())
    world.service.settings.public_url = "https://billing.example"
    with running(world) as client:
        for place in ("/v1/accounts", "/console/", "/c/x/"):
            assert client.get(place).headers["strict-transport-security"] == "max-age=31536000"


def test_nothing_that_we_read_is_near_the_limit() -> None:
    assert MOST_NESTED > 10
