"""Prints what ships beside the health layer: `python -m redis_middleware.layers.health grafana.json`."""

from __future__ import annotations

import sys
from importlib.resources import files

SHIPPED = ("alerts.yaml", "grafana.json", "openapi.json")


def main(arguments: list[str]) -> int:
    """Print one of the files; 2 for who asks for another."""
    if len(arguments) != 1 or arguments[0] not in SHIPPED:
        print(f"usage: python -m redis_middleware.layers.health {{{','.join(SHIPPED)}}}", file=sys.stderr)
        return 2
    print((files(__package__) / arguments[0]).read_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
