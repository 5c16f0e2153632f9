"""Side-by-side programs against what users would pick instead: `python -m benchmarks.NAME`."""
