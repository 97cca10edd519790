"""What the middleware costs: `python -m benchmarks`, and `--help` for what it takes."""
