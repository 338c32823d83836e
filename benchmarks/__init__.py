"""Speed, as ratios within one run; ``make bench`` runs it and writes RESULTS.md."""
