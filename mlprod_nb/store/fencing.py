"""Fences: what a job's run writes after it was given up is refused, and so is all that a reproduction writes.

Guarantee: from the transaction on in which another scheduler gave a run up, no process of that run changes the state
database. It is asked inside each transaction that writes, and those stand in one line. (Kleppmann, "How to do
distributed locking", 2016, on fencing tokens; ours is the run's own number.)
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import Refused
from mlprod_nb.store.tables import job_runs

UNCHANGED = "a reproduction changes nothing in the workspace."
"""What is said to a notebook that would, while it is executed to reproduce a version."""


@dataclass(frozen=True)
class Fence:
    """Lets a run write as long as it has no end.

    Attributes:
        run: The run's number.
    """

    run: int

    def __call__(self, connection: Connection) -> None:
        """Do nothing while the run is held.

        Raises:
            Refused: It was given up.
        """
        mine = sa.select(job_runs.c.id).where(job_runs.c.id == self.run, job_runs.c.finished_at.is_not(None))
        if connection.execute(mine).first() is not None:
            raise Refused(f"run {self.run} was given up by the scheduler, so it changes nothing any more.")


def closed(connection: Connection) -> None:  # noqa: ARG001 (a fence's signature)
    """Let nobody write: the fence of a reproduction's execution.

    Raises:
        Refused: Always.
    """
    raise Refused(UNCHANGED)
