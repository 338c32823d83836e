"""alibi-detect has no release for Python 3.13: there its tests are not collected, and its absence is tested anyway."""

from __future__ import annotations

from mlprod_nb.monitoring.detectors import alibi

collect_ignore = [] if alibi.available() else ["test_monitoring_alibi.py"]
