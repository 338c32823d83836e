"""What the gateway counts, times and traces, and what of it outlives the gateway."""
