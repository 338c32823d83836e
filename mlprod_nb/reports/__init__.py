"""Reports: notebooks that end in one verdict, executed, rendered as one page, indexed by digest and approved.

Guarantees: a report's folder appears whole or not at all; a failed one leaves its page and notebook in a folder that
ends in ``-failed`` and no verdict; the page makes no request and runs no script, whatever a column's name contains.
"""

from mlprod_nb.reports.execute import ReportFailed, ReportRequest, ReportResult, run_report

__all__ = ["ReportFailed", "ReportRequest", "ReportResult", "run_report"]
