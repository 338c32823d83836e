"""What an archive tells of its version."""

from __future__ import annotations

from mlprod_nb.registry.archives import Facts, Origin

FACTS = Facts(
    Origin("0" * 32, "site", "flights/3", "ada", "2013-04-01T06:00:00Z"), "a" * 64, "first", {"auc": 0.7}, {"C": "1.0"}
)
