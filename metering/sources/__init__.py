"""Wire formats: bytes to task-run events. A pure core: no clock, no input or output; the time is an argument.

    gunzip      bodies.py          decompress, to a limit
    detect      detection.py       format and framing of a body
    decode      decoding.py        every event of a body: taken, ignored or rejected with the field at fault

Below them, one module a format (`task_run`, `cloudevents`, `prefect`), and under those `fields` (one check a
field), `document` (JSON with exact numbers) and `admission` (who may write what, and when). The native
format has a fast path beside its careful one, `task_run_batch`; where a batch is doubtful, `task_run_pieces`.
"""

from metering.sources.admission import Admission, Decoded, Rejection
from metering.sources.bodies import BodyTooLarge, UndecodableBody, gunzip
from metering.sources.cloudevents import FINISHED_TYPE
from metering.sources.decoding import decode
from metering.sources.detection import Detected, detect
from metering.sources.document import Framing
from metering.sources.formats import Format, KnownFormat

__all__ = [
    "FINISHED_TYPE",
    "Admission",
    "BodyTooLarge",
    "Decoded",
    "Detected",
    "Format",
    "Framing",
    "KnownFormat",
    "Rejection",
    "UndecodableBody",
    "decode",
    "detect",
    "gunzip",
]
