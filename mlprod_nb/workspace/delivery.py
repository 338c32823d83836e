"""Verbs of delivery: releases by steps, and what is done with new versions by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlprod_nb.workspace.base import Base

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.ci.pipelines import PipelineResult
    from mlprod_nb.lifecycle.ci.sanitizing import SanitizingResult
    from mlprod_nb.lifecycle.releasing.planning import ReleasePlan
    from mlprod_nb.lifecycle.releasing.shown import AdvanceResult, ReleaseResult
    from mlprod_nb.lifecycle.releasing.watching import WatchResult


class Delivery(Base):
    """Bring versions to serve by steps, each held until its evidence suffices."""

    def release(
        self, version: str, *, endpoint: str = "", plan: bool = False, wait: bool = False, reason: str = ""
    ) -> ReleaseResult | ReleasePlan:
        """Release a version by steps: check, shadow, growing shares of the traffic, promote; roll back on harm.

        The steps and what each needs are set in [models.NAME.release]. The scheduler looks every minute and carries the
        release on; killed or interrupted at any moment, it goes on or goes back, and never stands between.

        Args:
            version: A version, as flights/4 or flights@challenger.
            endpoint: The endpoint's name; the model's name where empty.
            plan: Show the steps, what each needs and how long it takes at today's traffic, and change nothing.
            wait: Carry it on here until it is over; interrupted, the scheduler does, and without one it is paused.
            reason: Why, for the journal; in a notebook the cell's body.

        Examples:
            mlprod release flights/4 --plan
            mlprod release flights@challenger --reason "retrained on June"
            mlprod release flights/4 --wait
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.release(self.context, story.Wanted(version, endpoint, plan, wait, reason))

    def release_show(self, endpoint: str) -> ReleaseResult:
        """Show an endpoint's newest release: its steps, what holds it, and its journal.

        Args:
            endpoint: The endpoint's name.

        Examples:
            mlprod release show flights
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.show(self.context, endpoint)

    def release_advance(self, endpoint: str = "") -> AdvanceResult:
        """Look once at every release that is under way, and carry on what its evidence allows, as the scheduler does.

        Args:
            endpoint: The endpoint's name; empty for all.

        Examples:
            mlprod release advance
            mlprod release advance flights
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.advance(self.context, endpoint)

    def release_pause(self, endpoint: str, *, reason: str = "") -> ReleaseResult:
        """Keep a release where it stands; the traffic stays as it is.

        Args:
            endpoint: The endpoint's name.
            reason: Why, for the journal; in a notebook the cell's body.

        Examples:
            mlprod release pause flights --reason "the fair begins"
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.pause(self.context, endpoint, reason)

    def release_resume(self, endpoint: str, *, reason: str = "") -> ReleaseResult:
        """Let a paused release go on; where somebody else routed meanwhile, its step's route is made again.

        Args:
            endpoint: The endpoint's name.
            reason: Why, for the journal; in a notebook the cell's body.

        Examples:
            mlprod release resume flights
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.resume(self.context, endpoint, reason)

    def release_stop(self, endpoint: str, *, reason: str = "") -> ReleaseResult:
        """End a release: what served before it serves again.

        Args:
            endpoint: The endpoint's name.
            reason: Why, for the journal; in a notebook the cell's body.

        Examples:
            mlprod release stop flights --reason "a better one is trained"
        """
        from mlprod_nb.lifecycle.releasing import story

        return story.stop(self.context, endpoint, reason)

    def release_watch(self) -> WatchResult:
        """Look for new versions of the models that have on_register, and check or release each once.

        Versions that plain MLflow registered get their bundle here. The scheduler does this every minute.

        Examples:
            mlprod release watch
        """
        from mlprod_nb.lifecycle.releasing import watching

        return watching.watch(self.context)

    def ci_init(
        self, provider: str, *, model: str = "", notebooks: str = "", force: bool = False, dry_run: bool = False
    ) -> PipelineResult:
        """Write a workflow that runs the training notebooks, checks the candidate, and releases it on merge.

        A file that is there is kept.

        Args:
            provider: github or gitlab.
            model: The model whose newest version is checked; the only one where empty.
            notebooks: The training notebooks; the one that retrains, or notebooks/*.ipynb, where empty.
            force: Write the file anew where it is there.
            dry_run: Show what would be written and change nothing.

        Examples:
            mlprod ci init github --model flights --dry-run
            mlprod ci init gitlab --model flights --notebooks notebooks/train.ipynb
        """
        from mlprod_nb.lifecycle.ci import pipelines

        return pipelines.write(self.context, pipelines.Pipeline(provider, model, notebooks, force, dry_run))

    def ci_nbval(self, *, force: bool = False, dry_run: bool = False) -> SanitizingResult:
        """Write nbval.cfg: what nbval shall take for equal in two runs of a notebook, moments and ids.

        It is for pytest --nbval --nbval-sanitize-with=nbval.cfg; a file that is there is kept.

        Args:
            force: Write the file anew where it is there.
            dry_run: Show what would be written and change nothing.

        Examples:
            mlprod ci nbval
            mlprod ci nbval --dry-run
        """
        from mlprod_nb.lifecycle.ci import sanitizing

        return sanitizing.write(self.context, force=force, dry_run=dry_run)
