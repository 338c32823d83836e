"""The live panel: an endpoint's requests, errors and times by variant as they come, once a second at most."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import traitlets

from mlprod_nb.widgets import panel, snapshot
from mlprod_nb.widgets.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.counters import LiveRow, Stretch
    from mlprod_nb.lifecycle.panels.live import LiveView, Now
    from mlprod_nb.lifecycle.panels.reacting import ReactionNow
    from mlprod_nb.lifecycle.panels.under_way import ReleaseNow


class LivePanel(panel.Panel):
    """An endpoint while it answers.

    Args:
        result: What to show first, a ``LiveView``.
        run: Runs a line of the grammar and returns its result.
        watch: Begins a watch of an endpoint; called in the thread that looks.
    """

    _esm = panel.module("live")
    _css = panel.style("live")
    live = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        result: LiveView,
        run: panel.Run = panel.run,
        watch: Callable[[str], Callable[[], Now]] | None = None,
    ) -> None:
        super().__init__(result, run)
        self._watch = watch or _watch
        self._look: Callable[[], Now] | None = None
        self.pulse = Pulse(self._beat)

    def allows(self, words: list[str]) -> bool:
        """Allow what may be said to a release, which may have begun since the panel was shown."""
        match panel.trimmed(words, dry=False, reason=True):
            case ["release", "pause" | "resume" | "stop", endpoint]:
                return bool(endpoint == self.state["endpoint"])
        return False

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of a ``LiveView``."""
        return view(result)

    def close(self) -> None:
        """End the watch with the panel."""
        self.pulse.stop()
        super().close()

    def _receive(self, widget: Any, content: Any, buffers: Any) -> None:
        watching = content.get("watching") if isinstance(content, dict) else None
        if watching is True:
            self.pulse.seen()
        elif watching is False:
            self.pulse.stop()
        else:
            super()._receive(widget, content, buffers)

    def _beat(self) -> None:
        if self._look is None:
            self._look = self._watch(self.state["endpoint"])
        self.live = moving(self._look(), self.state["endpoint"])


def show(live: LiveView, shell: InteractiveShell) -> None:
    """Show an endpoint's traffic as it comes, or as a page where no panel can be."""
    snapshot.show(live, shell, lambda: LivePanel(live))


def view(live: LiveView) -> dict[str, Any]:
    """Return what the panel begins with: what was counted since the gateway started."""
    plain = live.to_dict()
    plain["release"] = _release(live.release, live.endpoint)
    plain["reactions"] = _users(live.reactions)
    return {**plain, "actions": [], "refresh": f"%mlprod panel live {shlex.quote(live.endpoint)}"}


def moving(now: Now, endpoint: str = "") -> dict[str, Any]:
    """Return what moves, as columns of numbers: by variant one value a stretch of time; and an endpoint's release."""
    plain = now.to_dict()
    return {
        "at": plain["at"],
        "problem": now.problem,
        "names": list(now.names),
        "last": [_per_second(row, now.last.seconds) for row in now.last.variants] if now.last else [],
        "refused": _rate(now.last.refused, now.last.seconds) if now.last else None,
        "times": [stretch.at.timestamp() for stretch in now.stretches],
        "requests": _series(now, lambda row, stretch: _rate(row.requests, stretch.seconds)),
        "p95_ms": _series(now, lambda row, _: _short(row.p95_ms)),
        "recent": plain["recent"],
        "release": _release(now.release, endpoint),
        "reactions": _users(now.reactions),
    }


def _users(rows: Sequence[ReactionNow]) -> list[dict[str, Any]]:
    """Return what users do, each with its rates a minute, one value a stretch of time."""
    return [
        {
            "title": row.title,
            "kind": row.kind,
            "since_start": row.since_start,
            "a_minute": [_short(rate) for rate in row.a_minute],
            "shares": [vars(share) for share in row.shares],
        }
        for row in rows
    ]


def _release(release: ReleaseNow | None, endpoint: str) -> dict[str, Any] | None:
    """Return a release as plain data, with the lines that may be said to it."""
    if release is None:
        return None
    plain = {
        "status": release.status,
        "sentence": release.sentence,
        "steps": [
            {**vars(step), "since": None if step.since is None else step.since.isoformat()} for step in release.steps
        ],
    }
    word = shlex.quote(endpoint)
    verbs = {"under way": ("pause", "stop"), "paused": ("resume", "stop")}.get(release.state, ())
    actions = [
        panel.action(
            f"{verb.capitalize()} release", f"release {verb} {word}", about=f"of {endpoint}", reason="optional"
        )
        for verb in verbs
    ]
    return {**plain, "actions": actions}


def _series(now: Now, value: Callable[[LiveRow, Stretch], float | None]) -> list[list[float | None]]:
    return [[value(stretch.variants[i], stretch) for stretch in now.stretches] for i in range(len(now.names))]


def _per_second(row: LiveRow, seconds: float) -> dict[str, Any]:
    times = {name: _short(getattr(row, name)) for name in ("p50_ms", "p95_ms", "p99_ms", "rows_each", "batch_rows")}
    return {
        "variant": row.variant,
        "requests": _rate(row.requests, seconds),
        "errors": _rate(row.errors, seconds),
        **times,
    }


def _rate(count: float, seconds: float) -> float | None:
    return _short(count / seconds) if seconds > 0 else None


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _watch(endpoint: str) -> Callable[[], Now]:
    """Begin a watch with a workspace of its own, since that of the kernel's cells is another thread's."""
    from mlprod_nb.lifecycle.panels import live
    from mlprod_nb.workspace import Workspace

    return live.watch(Workspace.open().context, endpoint).look
