"""The state database: endpoint revisions, journal, audit, tokens, jobs, reports, approvals, A/B tests.

SQLite in WAL mode with ``synchronous=FULL`` by default, Postgres by URL. Guarantee: what a committed transaction wrote
survives a power loss, and two writers never interleave inside one transaction.
"""

from mlprod_nb.store.database import DiskFull, Store
from mlprod_nb.store.fencing import UNCHANGED, Fence, closed
from mlprod_nb.store.revisions import Outcome, Revision

__all__ = ["UNCHANGED", "DiskFull", "Fence", "Outcome", "Revision", "Store", "closed"]
