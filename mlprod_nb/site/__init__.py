"""The site: the static page that leads to every report, and its feed; written by the verbs and by the gateway alike."""

from mlprod_nb.site.building import FEED, PAGE, Entry, Listing, SiteResult, build, failed, listing, policy

__all__ = ["FEED", "PAGE", "Entry", "Listing", "SiteResult", "build", "failed", "listing", "policy"]
