"""Verbs of models: register, export, import, check, retrain, reproduce."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.workspace.base import Base

if TYPE_CHECKING:
    from mlprod_nb.gates import GateReport
    from mlprod_nb.lifecycle.moving import ExportResult, ImportResult
    from mlprod_nb.lifecycle.registering.register import ModelsResult, RegisterResult
    from mlprod_nb.lifecycle.reproducing.agreeing import ReproduceResult
    from mlprod_nb.lifecycle.retraining import RetrainResult


class Models(Base):
    """Register models, check them, train them anew, make them again."""

    def register(
        self,
        name: str,
        *,
        model: Any,
        data: Any,
        target: Any = None,
        holdout: Any = None,
        holdout_target: Any = None,
        alias: str = "",
        note: str = "",
        snapshot: bool = False,
        from_clean_run: bool = False,
    ) -> RegisterResult:
        """Register a fitted model as a new version, with its bundle, reference profile and lineage.

        Args:
            name: The registered model's name.
            model: The fitted model ($name in a notebook, a joblib file in a shell).
            data: The reference data: the columns the model takes ($name, or a CSV or Parquet file); a frame's index of
                moments says when each row's event happened.
            target: The true outcomes of the reference data ($name, or the name of a column of the data).
            holdout: Rows that the model was not trained on, for the gates ($name, or a CSV or Parquet file); kept with
                the version.
            holdout_target: Their true outcomes ($name, or the name of a column of the held-out rows).
            alias: An alias to set on the new version, as champion.
            note: What changed and why; in a notebook the cell's body.
            snapshot: Keep the data with the version, as Parquet.
            from_clean_run: Run the notebook as it is saved from top to bottom in a fresh kernel, up to this cell, and
                register what that comes to.

        Examples:
            mlprod register flights --model $clf --data $X --target $y --alias champion
            mlprod register flights --model $clf --data $X --target $y --holdout $X_test --holdout-target $y_test
            mlprod register flights --model $clf --data $X --target $y --from-clean-run
        """
        from mlprod_nb.lifecycle.checking import held_out
        from mlprod_nb.lifecycle.registering import register

        given = held_out.Given(holdout, holdout_target)
        wanted = register.Submission(name, model, data, target, alias, note, given, snapshot, from_clean_run)
        return register.register(self.context, wanted)

    def models(self, name: str = "") -> ModelsResult:
        """List the registered models, or the versions of one.

        Args:
            name: A model's name; empty for all.

        Examples:
            mlprod models
            mlprod models flights
        """
        from mlprod_nb.lifecycle.registering import register

        return register.models(self.context, name)

    def export(self, version: str, *, to: str = "") -> ExportResult:
        """Write a version into one archive: model, bundle, lineage, notebook, gate reports, approvals.

        Args:
            version: A version, as flights/3 or flights@champion.
            to: The archive's file; MODEL-VERSION.zip in the current directory where empty.

        Examples:
            mlprod export flights/3
            mlprod export flights@champion --to flights.zip
        """
        from mlprod_nb.lifecycle import moving

        return moving.export(self.context, version, to)

    def import_(self, file: str, *, as_: str = "", digest: str = "", dry_run: bool = False) -> ImportResult:
        """Make a version of an archive, or name the version that it became before.

        Gate reports and approvals come along as history and count for nothing here: check the version anew.

        Args:
            file: The archive.
            as_: The model's name here; its name where it comes from where empty.
            digest: The archive's digest, as export told it; at least its first 12 characters; any other is refused.
            dry_run: Check the archive and change nothing.

        Examples:
            mlprod import flights-3.zip
            mlprod import flights-3.zip --as arrivals --digest 3fa9c1d2aa01
        """
        from mlprod_nb.lifecycle import moving

        return moving.import_(self.context, moving.Import(file, as_, digest, dry_run))

    def check(
        self,
        version: str,
        *,
        holdout: Any = None,
        target: Any = None,
        against: str = "",
        exhaustive: bool = False,
        junit: str = "",
        summary: str = "",
        last: bool = False,
    ) -> GateReport:
        """Run the gates on a version, and archive what they found with it.

        Args:
            version: A version, as flights/3 or flights@champion.
            holdout: Rows that the model was not trained on ($name, or a CSV or Parquet file); those that the settings
                name, or that were kept with the version, where none are given.
            target: Their true outcomes ($name, or the name of a column of the held-out rows).
            against: What it is compared with: an alias or a version; champion where empty.
            exhaustive: Test what takes minutes too: an environment made anew of the recorded packages.
            junit: A file for JUnit XML.
            summary: A file that a summary in markdown is added to; in GitHub Actions the step's own where empty.
            last: Only show the newest archived report.

        Examples:
            mlprod check flights@challenger
            mlprod check flights/4 --holdout $X_test --target $y_test --against flights/3
            mlprod check flights/4 --junit gates.xml
            mlprod check flights/4 --last
        """
        from mlprod_nb.lifecycle.checking import gating
        from mlprod_nb.lifecycle.checking.held_out import Given

        wanted = gating.Check(version, Given(holdout, target), against, exhaustive, junit, summary)
        return gating.last(self.context, wanted) if last else gating.check(self.context, wanted)

    def retrain(
        self,
        endpoint: str,
        *,
        mode: str = "recent",
        since: str = "",
        until: str = "",
        reason: str = "",
        dry_run: bool = False,
    ) -> RetrainResult:
        """Train a challenger on an endpoint's log, by the training notebook; what serves goes on serving.

        Args:
            endpoint: The endpoint's name.
            mode: recent: the window; full: all history; weighted: all history, weighted by how it resembles the window.
            since: Where the window begins: a date, a time, an age such as 7d, or yesterday; 28 days before its end
                where empty.
            until: Where it ends; with the newest prediction where empty.
            reason: Why, for note and journal; in a notebook the cell's body.
            dry_run: Show what would be trained and change nothing.

        Examples:
            mlprod retrain flights
            mlprod retrain flights --mode weighted --since 2013-06-01 --until 2013-07-01 --dry-run
        """
        from mlprod_nb.lifecycle import retraining

        wanted = retraining.Retraining(endpoint, mode, since, until, reason=reason, dry_run=dry_run)
        return retraining.retrain(self.context, wanted)

    def reproduce(self, version: str, *, environment: bool = False, tolerance: float = 1e-5) -> ReproduceResult:
        """Run a version's recorded notebook again, and say whether predictions and metrics agree and what differs.

        It runs with the recorded parameters, up to the cell that registered. Nothing changes in the workspace: what the
        notebook registers is compared and dropped, and what else it would change is left out.

        Args:
            version: A version, as flights/3 or flights@champion.
            environment: Run it in an environment made of the recorded packages, which is kept; takes minutes the first
                time, and a package index.
            tolerance: The largest difference of a score or a metric that agrees; relative for what is larger than 1.

        Examples:
            mlprod reproduce flights/3
            mlprod reproduce flights@champion --tolerance 0.001
            mlprod reproduce flights/3 --environment
        """
        from mlprod_nb.lifecycle.reproducing import story

        return story.reproduce(self.context, story.Reproduction(version, environment, tolerance))
