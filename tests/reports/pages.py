"""Pages of reports for the tests: ordinary ones, and one of hostile strings in every place that data can reach."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlprod_nb.reports import render
from mlprod_nb.results import Verdict
from tests.notebook_files import code, html, notebook, text

BOUND = {
    "model_versions": ["flights/3"],
    "log_range": {"since": "2013-04-01T00:00:00Z", "until": None, "rows": 24512, "digest": "ab" * 32},
    "parameters": {"alibi": False},
    "notebook_sha256": "cd" * 32,
    "packages": {"python": "3.11.7", "numpy": "1.26.4"},
}
REPORT = {
    "kind": "drift",
    "endpoint": "flights",
    "bound_to": BOUND,
    "created_at": "2013-05-01T06:00:00Z",
    "seconds": 4.25,
    "digest": "ef" * 32,
}
HOSTILE = [
    "<script>window.hit=1</script>",
    "<img src=x onerror=window.hit=1>",
    "<svg onload=window.hit=1>",
    "<svg><script>window.hit=1</script></svg>",
    "<svg><style>@import 'http://x.test/a.css'</style></svg>",
    "<svg xmlns='http://www.w3.org/2000/svg'><foreignObject><iframe src='http://x.test'/></foreignObject></svg>",
    "<svg><a href='javascript:window.hit=1'><text>x</text></a></svg>",
    "<svg><image href='http://x.test/a.png'/></svg>",
    "<svg><use href='http://x.test/a.svg#b'/></svg>",
    "<svg><rect style='fill:url(http://x.test/a)'/></svg>",
    "<svg><rect fill='url(http://x.test/a)'/></svg>",
    "<svg><title><img src=x onerror=window.hit=1></title></svg>",
    "<svg><title>&lt;img src=x onerror=window.hit=1&gt;</title></svg>",
    '<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>',
    "<iframe src='http://x.test'></iframe>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<object data='http://x.test'></object><embed src='http://x.test'>",
    "<link rel=stylesheet href=http://x.test/a.css>",
    "<meta http-equiv=refresh content='0;url=http://x.test'>",
    "<base href='http://x.test/'>",
    "<a href='javascript:window.hit=1'>x</a><a href='http://x.test'>y</a>",
    "<p style='background:url(http://x.test/a.png)'>x</p>",
    "<p style='color:red;background-image:url(//x.test/a)'>x</p>",
    "<style>body{background:url(http://x.test/a)}</style>",
    "<style>@import url(http://x.test/a);",
    "<img src='http://x.test/a.png'><img src='//x.test/a.png'><img srcset='http://x.test/a 2x'>",
    "<img src='data:text/html,<script>window.hit=1</script>'>",
    "<video src=http://x.test poster=http://x.test autoplay></video>",
    "<form action=http://x.test><button formaction=http://x.test>x</button></form>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.hit=1>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "<template><script>window.hit=1</script></template>",
    "</main></body></html><script>window.hit=1</script>",
    "<!--><script>window.hit=1</script>-->",
    "<x/onmouseover=window.hit=1>",
    "<details open ontoggle=window.hit=1>",
    "<table background=http://x.test/a><td background=http://x.test>",
    "<span>mlprod-drawing-0-</span>",
    "'\"><script>window.hit=1</script>",
    "${window.hit=1} {{ 7*7 }} {% raw %}",
]


def shown(status: str = "ok", sentence: str = "nothing moved.", action: str = "") -> dict[str, Any]:
    bundle = Verdict(status, sentence, action)._repr_mimebundle_()  # type: ignore[arg-type]
    output = {"output_type": "execute_result", "metadata": {}, "data": bundle, "execution_count": 1}
    return code("monitor.verdict", outputs=[output])


def page(*cells: dict[str, Any], **about: Any) -> str:
    return render.to_html(notebook(*cells, mlprod={"report": REPORT, **about}))


def hostile_page() -> str:
    """Return a page that holds every hostile string in every place that data can reach."""
    cells = [text(f"# Report\n\n## {string}\n\n{string}") for string in HOSTILE]
    for string in HOSTILE:
        stream = {"output_type": "stream", "name": "stdout", "text": string}
        failure = {"output_type": "error", "ename": string, "evalue": string, "traceback": [string]}
        data = {"output_type": "display_data", "metadata": {}, "data": {"text/plain": string}}
        markdown = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": string}}
        picture = {
            "output_type": "display_data",
            "metadata": {"image/png": {"alt": string}},
            "data": {"image/png": string},
        }
        drawing = {"output_type": "display_data", "metadata": {}, "data": {"image/svg+xml": f"<svg>{string}</svg>"}}
        script = {"output_type": "display_data", "metadata": {}, "data": {"application/javascript": "window.hit=1"}}
        outputs: list[dict[str, Any]] = [
            stream,
            failure,
            data,
            markdown,
            picture,
            drawing,
            script,
            html(string),
            html(f"<p>{string}</p>"),
        ]
        cells.append(code(string, outputs=outputs))
    said = " ".join(HOSTILE[:6])
    report = {**REPORT, "endpoint": said, "digest": said, "bound_to": {**BOUND, "model_versions": HOSTILE}}
    about = {"mlprod": {"report": report}}
    return render.to_html(notebook(*cells, shown("warn", said, said), **about))


def without_our_script(content: str) -> str:
    """Return a page without the one script that is ours, letter by letter, and is there once."""
    script = (Path(render.__file__).parent / "template" / "sort.js").read_text(encoding="utf-8")
    assert content.count(f"<script>{script}</script>") == 1
    return content.replace(f"<script>{script}</script>", "")


def external(content: str) -> list[str]:
    """Return every place of a page that could fetch something or run a script."""
    without_images = re.sub(r"data:image/[\w+]+;base64,[\w+/=]*", "", content)
    tags = re.findall(r"<[a-zA-Z][^>]*>", without_images)
    names = r"(?:script|iframe|object|embed|link|base|form|video|audio|source|use|image|foreignObject)\b"
    found = [tag for tag in tags if re.match(rf"<{names}", tag, re.IGNORECASE)]
    found += [
        tag for tag in tags if re.search(r"\s(?:src|srcset|href|poster|background|action)\s*=\s*[\"']?(?!#|\")", tag)
    ]
    found += [tag for tag in tags if re.search(r"[\s\"'/]on[a-z]+\s*=", re.sub(r'"[^"]*"', '""', tag))]
    styles = re.findall(r"<style>(.*?)</style>", without_images, re.DOTALL) + re.findall(
        r'style="([^"]*)"', without_images
    )
    return found + [style for style in styles if re.search(r"url\((?!#)|@import|http", style)]


ROWS = [("b", "1,200"), ("a", "9.5"), ("c", "–"), ("d", "−3 %")]
SORTED = (
    "<table><thead><tr><th>name</th><th class=n>moved</th></tr></thead><tbody>"
    + "".join(f"<tr><td>{name}</td><td class=n>{value}</td></tr>" for name, value in ROWS)
    + "</tbody></table>"
)
