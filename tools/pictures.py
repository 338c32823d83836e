"""Take the README's pictures: the quickstart clicked through in a real JupyterLab, and the drift report it leaves."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from mlprod_nb import Workspace, assets
from tests.browser.jupyterlab import Lab, chromium, jupyterlab

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
_PANEL = ".jp-Cell-outputArea .mlprod-panel"


def main() -> int:
    """Run the quickstart in JupyterLab and take each picture."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlprod-pictures-") as scratch, jupyterlab(Path(scratch)) as server:
        shutil.copy(assets.path("notebooks", "quickstart.ipynb"), server.root)
        try:
            with chromium(server) as lab:
                _take(lab)
        finally:
            Workspace.open(server.root).down(yes=True)
    return 0


def _take(lab: Lab) -> None:
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    lab.open("quickstart.ipynb")
    lab.command("notebook:run-all-cells")
    panel = lab.page.locator(_PANEL).last
    panel.wait_for(timeout=300_000)
    lab.page.wait_for_timeout(1_000)
    panel.scroll_into_view_if_needed()
    panel.screenshot(path=str(PICTURES / "status-panel.png"))
    lab.page.screenshot(path=str(PICTURES / "quickstart.png"))
    lab.page.get_by_role("heading", name="What changed, and which version is better?").scroll_into_view_if_needed()
    lab.page.wait_for_timeout(500)
    lab.page.screenshot(path=str(PICTURES / "monitor.png"))
    [page] = (lab.server.root / "reports" / "flights" / "drift").glob("*/index.html")
    lab.page.goto(page.as_uri())
    lab.page.set_viewport_size({"width": 1100, "height": 1100})
    lab.page.screenshot(path=str(PICTURES / "drift-report.png"))
    lab.page.emulate_media(color_scheme="dark")
    lab.page.screenshot(path=str(PICTURES / "drift-report-dark.png"))
    lab.page.emulate_media(color_scheme="light")
    lab.page.goto((lab.server.root / "reports" / "index.html").as_uri())
    lab.page.screenshot(path=str(PICTURES / "report-site.png"), full_page=True)
    _served(lab, page)


def _served(lab: Lab, page: Path) -> None:
    """Take the report as a reviewer reads it from the gateway."""
    workspace = Workspace.open(lab.server.root)
    token = Path(workspace.access_grant("bob", role="operator").file).read_text(encoding="utf-8").strip()
    lab.page.goto(f"{workspace.status().gateway.url}/{page.relative_to(lab.server.root).as_posix()}")
    lab.page.get_by_label("Token").fill(token)
    lab.page.get_by_role("button", name="Sign in").click()
    lab.page.set_viewport_size({"width": 1100, "height": 700})
    lab.page.frame_locator("iframe").locator("h1").wait_for()
    lab.page.get_by_label("Why you approve").fill("drift is seasonal, as every spring")
    lab.page.screenshot(path=str(PICTURES / "report-served.png"))


if __name__ == "__main__":
    sys.exit(main())
