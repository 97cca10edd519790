"""How the layers keep to HTTP caching (RFC 9111): `python -m benchmarks.conformance`, and `--help` for what it takes."""
