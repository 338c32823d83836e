"""A panel alone on a page, with JupyterLab's own colours and a model that only remembers: quick to open and to ask."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Literal

from mlprod_nb.widgets import panel

_THEMES = Path(sys.prefix) / "share" / "jupyter" / "lab" / "themes" / "@jupyterlab"
#: The model stands in for Python: it keeps what is sent, and takes what the test sets.
_SCRIPT = """
const { default: panel } = await import(URL.createObjectURL(new Blob([window.source], { type: "text/javascript" })));
const heard = {};
window.sent = [];
window.model = {
  values: window.values,
  get: (name) => window.model.values[name],
  set: (name, value) => {
    window.model.values[name] = value;
    for (const f of heard[`change:${name}`] ?? []) f();
  },
  on: (name, f) => { heard[name] = [...(heard[name] ?? []), f]; },
  off: (name, f) => { heard[name] = (heard[name] ?? []).filter((g) => g !== f); },
  send: (content) => window.sent.push(content),
};
window.heard = heard;
window.cleanUp = panel.render({ model: window.model, el: document.querySelector("main") });
window.shown = true;
"""


def bare_page(name: str, state: dict[str, Any], theme: Literal["light", "dark"], more: Any = None) -> str:
    """Return a page with one panel."""
    values = json.dumps({"state": state, "message": {}, **(more or {})}).replace("<", "\\u003c")
    source = json.dumps(panel.module(name)).replace("<", "\\u003c")
    light = "true" if theme == "light" else "false"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title><style>{_variables(theme)}'
        f"body{{margin:16px;background:var(--jp-layout-color0);color:var(--jp-ui-font-color1)}}{panel.style(name)}</style></head>"
        f'<body data-jp-theme-light="{light}"><main><h1>A page</h1><h2>A panel</h2></main><script>'
        f"window.values={values};window.source={source};"
        f'</script><script type="module">{_SCRIPT}</script></body></html>'
    )


def _variables(theme: str) -> str:
    """Return the colours and sizes that JupyterLab's theme sets."""
    text = (_THEMES / f"theme-{theme}-extension" / "index.css").read_text(encoding="utf-8")
    return ":root{" + "".join(re.findall(r"--(?:jp|md)-[\w-]+:[^;}]+;", text)) + "}"
