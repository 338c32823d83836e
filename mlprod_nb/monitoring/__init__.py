"""Did the data change, does it matter to the model, and is the model still right?

``profile.build`` makes the reference at registration, ``run`` compares a window of the prediction log with it and ends
in one verdict. Guarantee: unchanged data raise an alarm with at most the stated chance a year; what cannot be tested
says so. Needs numpy, scipy and pyarrow; alibi-detect only where it is asked for.
"""

from __future__ import annotations

from mlprod_nb.monitoring.monitor import MonitorInput, run
from mlprod_nb.monitoring.profile import Profile, build
from mlprod_nb.monitoring.result import MonitorResult
from mlprod_nb.monitoring.rows import ColumnDrift, Finding, MetricRow

__all__ = ["ColumnDrift", "Finding", "MetricRow", "MonitorInput", "MonitorResult", "Profile", "build", "run"]
