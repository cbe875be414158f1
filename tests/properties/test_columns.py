"""What is read or made for many values at once is what it would be for each of them."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from metering.outcome import FINAL_STATES, OUTCOMES, THRESHOLD_US, classify
from metering.period import parse_instant, parse_instants
from metering.store import run_key

DIGITS = st.text("0123456789", min_size=1, max_size=8)
PLAIN = st.builds(
    "{:04d}-{:02d}-{:02d}T{:02d}:{:02d}:{:02d}{}{}".format,
    st.sampled_from([0, 1, 1969, 2026, 9999]),
    st.integers(0, 13),
    st.sampled_from([0, 1, 28, 29, 30, 31, 32]),
    st.integers(0, 24),
    st.sampled_from([0, 59, 60]),
    st.sampled_from([0, 59, 60]),
    st.sampled_from(["", "."]).flatmap(
        lambda dot: DIGITS.map(lambda digits: dot + digits) if dot else st.just("")
    ),
    st.sampled_from(["Z", "Z", "Z", "z", "", "+02:00", "-23:59"]),
)
INSTANTS = st.lists(
    PLAIN | st.sampled_from(["2026-10-03", "20261003T020000Z", "٢026-10-03T02:00:00Z", "\n", ""])
)


def _each(texts: list[str]) -> list[int] | None:
    try:
        return [parse_instant(text) for text in texts]
    except ValueError:
        return None


@given(INSTANTS | st.lists(PLAIN, min_size=1, max_size=1))
@example(["2026-10-03T02:00:00Z\n2026-10-03T02:00:00Z"])
def test_instants(texts: list[str]) -> None:
    try:
        read = parse_instants(texts)
    except ValueError:
        read = None  # type: ignore[assignment]
    assert read == _each(texts)


UUIDS = st.uuids().map(str)
ODD = st.sampled_from(
    [
        "r",
        "0192D3A4-5b6c-7d8e-9f00-112233445566",
        "0192d3a45b6c7d8e9f00112233445566",
        "0192d3a-45b6c-7d8e-9f00-112233445566",
        "0192d3a4-5b6c-7d8e-9f00-11223344556-",
        "0192d3a4-5b6c-7d8e-9f00-11223344556g",
        "0192d3a4-5b6c-7d8e-9f00-1122334455é6",
        "exactly15chars.",
        "x" * 36,
    ]
)


@given(st.lists(UUIDS) | st.lists(UUIDS | ODD))
@example(["0192d3a4-5b6c-7d8e-9f00-11223344556", "60192d3a4-5b6c-7d8e-9f00-112233445566"])
def test_run_keys(ids: list[str]) -> None:
    keys = run_key.encode_all(ids)
    assert keys == [run_key.encode(each) for each in ids]
    assert [run_key.decode(key) for key in keys] == ids


@given(st.sampled_from(sorted(FINAL_STATES)), st.integers(0, 3 * THRESHOLD_US))
@example("COMPLETED", THRESHOLD_US)
@example("CACHED", THRESHOLD_US + 1)
def test_outcomes(state: str, duration_us: int) -> None:
    assert OUTCOMES[state, duration_us > THRESHOLD_US] is classify(state, duration_us)
