"""The site: the static page that leads to every report, and its feed; written by the verbs and by the gateway alike."""

from mlprod_nb.site.building import FEED, PAGE, SiteResult, build, policy

__all__ = ["FEED", "PAGE", "SiteResult", "build", "policy"]
