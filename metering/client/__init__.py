"""A client for Python programs that run tasks: what is sent is on disk when the call returns, and in the
meter as soon as the service can be reached (docs/client.md).

    from metering.client import Client

    with Client("https://billing.example.com", key, spool="/var/spool/billing") as client:
        client.send({"account": "acme", "task_run_id": "run-42", "state": "COMPLETED",
                     "started_at": started, "ended_at": ended, "flow": "nightly"})

    client.Client, AsyncClient     the door: spools, and delivers in a thread of its own
    courier.Courier                sends what is spooled until the service has it
    answers                        what an answer means, and how long to wait                (pure)
    spool.Spool  claim.Claim       events on disk; which process may send them
    events.encode                  an event as a line of JSON                                (pure)
    post.HttpPost                  the only one that knows httpx, and imports it when it is first needed
"""

from metering.client.client import AsyncClient, Client
from metering.client.courier import Tally
from metering.client.errors import ClientError, EventError, SpoolError, SpoolFull

__all__ = ["AsyncClient", "Client", "ClientError", "EventError", "SpoolError", "SpoolFull", "Tally"]
