"""Models that answer: loaded, run in batches, in the gateway's own process or in model workers."""
