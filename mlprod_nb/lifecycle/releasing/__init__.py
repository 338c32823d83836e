"""Releasing a version by steps: checked, in shadow, a small share, larger ones, promoted; each step held for evidence.

A release is a state machine:

- its events are appended to the state database (:mod:`mlprod_nb.store.releases`);
- where it stands is derived from them (:mod:`.standing`);
- what comes next is decided by a pure function of where it stands, the evidence and the moment (:mod:`.deciding`);
- it is then done (:mod:`.acting`), each action written down before it begins and after it ended.

A process that is killed in between leaves what the next look finds by its mark and carries on.
"""
