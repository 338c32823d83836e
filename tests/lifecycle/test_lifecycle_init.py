"""Making a workspace."""

from __future__ import annotations

from pathlib import Path

from mlprod_nb import Workspace


def test_a_workspace_made_inside_another_says_which_one_lines_from_there_leave(tmp_path: Path) -> None:
    assert Workspace.init(str(tmp_path)).inside == ""
    below = tmp_path / "notebooks"
    made = Workspace.init(str(below))
    around = f"Until now lines from here reached the workspace around it, {tmp_path}; they do no more."
    assert made.headline() == f"Workspace 'notebooks' is ready. {around}"
    assert Workspace.init(str(below)).headline() == "Workspace 'notebooks' is already here."
