"""Benchmarks: `make bench`. Figures of one machine in one run; nothing here passes or fails."""
