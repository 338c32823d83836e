"""What holds for every panel: its module, its style, its files."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mlprod_nb import assets
from mlprod_nb.widgets import panel

HERE = Path(__file__).parent
SHARED = ("base", "charts")
PANELS = sorted(file.stem for file in assets.folder("widgets").glob("*.js") if file.stem not in SHARED)


def test_the_pure_functions_hold() -> None:
    node = shutil.which("node")
    assert node, "node is needed for the panels' tests: apt-get install nodejs"
    done = subprocess.run(
        [node, "--test", *map(str, HERE.glob("*.test.mjs"))], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", PANELS)
def test_a_panels_module_holds_all_that_it_imports(name: str) -> None:
    text = panel.module(name)
    assert not re.search(r"^\s*import\b", text, re.MULTILINE)
    assert text.count("export default") == 1
    assert text.count("export function patch(") == 1


def test_the_panels_files_ask_no_network() -> None:
    for file in assets.folder("widgets").iterdir():
        text = file.read_text(encoding="utf-8").replace('"http://www.w3.org/2000/svg"', "")  # a name, not an address
        assert not re.search(r"https?:|url\(|@import", text), file.name


@pytest.mark.parametrize("name", ["base", *PANELS])
def test_every_class_of_a_style_is_used(name: str) -> None:
    files = PANELS if name == "base" else [name]
    scripts = "".join(panel.module(file) for file in files)
    text = assets.path("widgets", f"{name}.css").read_text(encoding="utf-8")
    styled = set(re.findall(r"\.(mlprod-[\w-]+)", text))
    made = {"mlprod-badge", "mlprod-variant", "mlprod-line"}  # ends in a status or a number that the script puts there
    assert {one for one in styled if one not in scripts and one.rpartition("-")[0] not in made} == set()


def test_every_word_of_a_line_is_read_back_as_it_was_quoted() -> None:
    texts = ["late", "it's late", 'say "no"', "$HOME `id` \\\\ !", 'it\'s "$x"', "ä ✓", "-x", "a=b"]
    script = f"const {{ load }} = await import({str(HERE / 'joined.mjs')!r}); const base = await load('base');"
    script += f"console.log(JSON.stringify({texts!r}.map(base.quoted)))"
    node = shutil.which("node") or "node"
    done = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60)
    assert [shlex.split(word) for word in json.loads(done.stdout)] == [[text] for text in texts]
