"""The gateway's processes: one supervisor that keeps its workers running; standard library only."""
