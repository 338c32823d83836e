"""The targets that the conformance suite holds to what every target promises."""

from __future__ import annotations

#: By name, the fixture that makes ready for it and gives the address that ``[NAME] address`` is set to; empty: none.
KINDS = {"local": "", "ray": "ray_cluster"}
