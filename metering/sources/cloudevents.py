"""CloudEvents 1.0, structured and batch: an envelope around the native object.

`subject` is the account, `data` the native object without one (an `account` inside it counts for nothing).
"""

from __future__ import annotations

from typing import Any

from metering.event import TaskRunEvent
from metering.sources.admission import Admission
from metering.sources.fields import FieldError, object_of, required_text, text_of
from metering.sources.task_run import in_final_state, read_final

FINISHED_TYPE = "com.prefect.task-run.finished"


def read_cloudevent(
    envelope: dict[str, Any], admission: Admission, types: frozenset[str]
) -> TaskRunEvent | None:
    """The event that a CloudEvent carries; None for other types and states that are not final. Raises
    FieldError, also for an envelope without the attributes that CloudEvents 1.0 requires."""
    if required_text(envelope, "type") not in types:
        return None
    data = object_of(envelope, "data")
    if not in_final_state(data):
        return None
    if required_text(envelope, "specversion") != "1.0":
        raise FieldError("specversion", 'specversion must be "1.0"')
    for name in ("id", "source"):
        if not required_text(envelope, name):
            raise FieldError(name, f"{name} is empty; CloudEvents 1.0 requires it")
    account = admission.account(text_of(envelope, "subject"), "subject")
    return read_final(data, account, admission)
