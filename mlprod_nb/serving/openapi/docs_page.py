"""``/docs``: the OpenAPI document as one page without outside requests."""

from __future__ import annotations

import html
import json
import secrets
from collections.abc import Iterator
from typing import Any

_STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --page: #fff; --code: #f6f8fa; --mark: #0a5fb4;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --page: #0d1117; --code: #161b22; --mark: #6cb2ff; }
}
body {
  font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
}
h1 { margin-bottom: .2rem } h2 { font-size: 1.05rem; margin: 0 }
p, td { overflow-wrap: anywhere } p { color: var(--soft); margin: .3rem 0 }
section { border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; margin: 1rem 0 }
pre, code { font: 13px/1.5 ui-monospace, monospace }
pre { background: var(--code); padding: .7rem; border-radius: 6px; overflow-x: auto }
.verb {
  color: var(--page); background: var(--mark); border-radius: 4px;
  padding: .1rem .5rem; margin-right: .5rem; font-size: 12px; font-weight: 600;
}
table { border-collapse: collapse; width: 100%; font-size: 14px }
td { text-align: left; border-top: 1px solid var(--line); padding: .25rem .5rem .25rem 0; vertical-align: top }
input, button {
  font: inherit; padding: .3rem .6rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--code); color: var(--ink);
}
a { color: var(--mark) }
"""
_SCRIPT = """
document.getElementById("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = document.getElementById("served");
  const token = document.getElementById("token").value.trim();
  const reply = await fetch("openapi.json", { headers: { Authorization: "Bearer " + token } });
  const data = await reply.json();
  place.replaceChildren();
  if (!reply.ok) { place.append(element("p", data.detail)); return; }
  const own = Object.entries(data.paths).filter(([path]) => /^\\/endpoints\\/[^{]+\\/invocations$/.test(path));
  if (!own.length) place.append(element("p", "Nothing is deployed."));
  for (const [path, item] of own) {
    const body = item.post.requestBody.content["application/json"];
    const section = element("section");
    section.append(element("h2", "POST " + path), element("p", item.post.summary));
    const table = element("table");
    const columns = data.components.schemas["Columns_" + path.split("/")[2]];
    for (const [name, schema] of Object.entries(columns.properties)) {
      const row = element("tr");
      row.append(element("td", name), element("td", [].concat(schema.items.type).join(" or ")));
      table.append(row);
    }
    section.append(table, element("pre", JSON.stringify(body.example, null, 2)));
    place.append(section);
  }
});
function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}
"""


def render(document: dict[str, Any], *, base_url: str) -> tuple[str, str]:
    """Return the page, and the content security policy that goes with it.

    Args:
        document: The OpenAPI document.
        base_url: Where the gateway answers, for the examples.
    """
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    info = document["info"]
    operations = "".join(
        _operation(path, verb, operation, base_url)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
        if verb in {"get", "post"}
    )
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(info["title"])}</title><style nonce="{nonce}">{_STYLE}</style></head><body>
<h1>{_text(info["title"])}</h1><p>Version {_text(info["version"])}. {_text(info["description"])}
The same as <a href="openapi.json">openapi.json</a>.</p>
<section><h2>What this gateway serves</h2>
<p>Shown to those who have a token. It is sent to this gateway and kept nowhere.</p>
<form id="ask"><input id="token" type="password" aria-label="Token" placeholder="Token" autocomplete="off" required>
<button>Show endpoints</button></form><div id="served" aria-live="polite"></div></section>
{operations}<h1>Schemas</h1>{schemas}
<script nonce="{nonce}">{_SCRIPT}</script></body></html>"""
    return page, policy


def _operation(path: str, verb: str, operation: dict[str, Any], base_url: str) -> str:
    replies = "".join(
        f"<tr><td>{_text(status)}</td><td>{_text(reply['description'])}</td></tr>"
        for status, reply in operation["responses"].items()
    )
    lines = "\n".join(_curl(path, verb, operation, base_url))
    return f"""<section><h2><span class="verb">{verb.upper()}</span><code>{_text(path)}</code></h2>
<p>{_text(operation["summary"])}.</p>{_body(operation)}<pre>{_text(lines)}</pre><table>{replies}</table></section>
"""


def _body(operation: dict[str, Any]) -> str:
    if "requestBody" not in operation:
        return ""
    return f"<p>{_kind(operation['requestBody']['content']['application/json']['schema'])}.</p>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    return f"<section><h2>{_text(name)}</h2><p>{_text(schema['description'])}</p>{_fields(schema)}</section>\n"


def _fields(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f"<p>{_kind(schema)}.</p>"
    rows = []
    for name, field in schema["properties"].items():
        cells = f"<td>{_kind(field)}</td><td>{_text(field.get('description', ''))}</td>"
        rows.append(f"<tr><td><code>{_text(name)}</code></td>{cells}</tr>")
    return f"<table>{''.join(rows)}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """Return what a value is, in HTML: the name of a schema, its types, or a choice of them."""
    if "$ref" in schema:
        return _text(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    kind = schema.get("type", "any")
    shown = _text(" or ".join(kind) if isinstance(kind, list) else kind)
    return f"{shown} of {_kind(schema['items'])}" if schema.get("items") else shown


def _curl(path: str, verb: str, operation: dict[str, Any], base_url: str) -> Iterator[str]:
    tail = " \\"
    last = not operation["security"]
    yield f"curl {base_url}{path.replace('{name}', 'NAME').replace('{version}', '1')}{'' if last else tail}"
    if last:
        return
    yield f'  -H "Authorization: Bearer $TOKEN"{tail if verb == "post" else ""}'
    if verb == "post":
        example = operation["requestBody"]["content"]["application/json"]["example"]
        yield f'  -H "Content-Type: application/json"{tail}'
        yield f"  -d '{json.dumps(example)}'"


def _text(value: Any) -> str:
    return html.escape(str(value))
