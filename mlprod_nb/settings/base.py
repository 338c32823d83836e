"""What every table of the settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """One table: an unknown key is refused, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
