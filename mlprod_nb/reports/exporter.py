"""nbconvert's exporter for reports: ``jupyter nbconvert --to mlprod_report``, and JupyterLab's Save and Export As."""

from __future__ import annotations

from typing import Any

from nbconvert.exporters.base import Exporter

from mlprod_nb.reports import render


class ReportExporter(Exporter):
    """A notebook as a report's page.

    It is not an ``HTMLExporter``: that parses the finished page and writes it anew, with a parser other than the one
    that made it safe.
    """

    export_from_notebook = "mlprod report"
    output_mimetype = "text/html"

    def _file_extension_default(self) -> str:
        return ".html"

    def from_notebook_node(self, nb: Any, resources: Any = None, **options: Any) -> tuple[str, Any]:
        """Convert a notebook; what the page tells beside the cells is in its metadata."""
        found, resources = super().from_notebook_node(nb, resources, **options)
        title = "" if found["metadata"].get("mlprod") else resources.get("metadata", {}).get("name", "")
        return render.to_html(found, title=str(title)), resources
