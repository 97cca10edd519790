"""The peers' environments: each has one of its own, so that no library's requirements stand in the way of another's.

They are made when they are first needed, below `.venv` where git does not look, and stay until `make clean`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .servers import ROOT

PATIENCE = 300
"""Seconds that an installation may take."""

VERSIONS = """
import json, sys
from importlib.metadata import version
print(json.dumps({name: version(name) for name in sys.argv[1:]}))
"""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another library, installed into an environment of its own: what pip is told, and what is reported of that environment."""

    name: str
    requirements: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(slots=True)
class Environments:
    """Where peers can run: the interpreter and the versions for each peer that is there, and why the others are not."""

    interpreters: dict[Peer, str] = field(default_factory=dict)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def interpreter(self, peer: Peer | None) -> str:
        """The one that has a peer, or our own."""
        return self.interpreters[peer] if peer else sys.executable

    def has(self, peer: Peer | None) -> bool:
        """Whether there is one."""
        return peer is None or peer in self.interpreters

    def listed(self) -> str:
        """What runs where, and who is missing: lines of Markdown."""
        lines = [
            f"* {peer}: {', '.join(f'{name} {version}' for name, version in found.items())}"
            for peer, found in self.versions.items()
        ]
        return "\n".join([*lines, *(f"* **{peer} is missing**: {why}" for peer, why in self.missing.items())])


def environments(peers: Iterable[Peer | None], say: Callable[[str], None], place: Path = ROOT / ".venv/peers") -> Environments:
    """The environments of these peers, installed if they are not there. Who cannot be installed is missing."""
    found = Environments()
    for peer in dict.fromkeys(peer for peer in peers if peer):
        try:
            interpreter = _installed(peer, place / peer.name.lower(), say)
            shown = subprocess.run([interpreter, "-c", VERSIONS, *peer.packages], capture_output=True, text=True, check=True)
        except (OSError, subprocess.SubprocessError) as exc:
            found.missing[peer.name] = _reason(exc)
            say(f"{peer.name} cannot be installed and is left out: {found.missing[peer.name]}")
        else:
            found.interpreters[peer], found.versions[peer.name] = interpreter, json.loads(shown.stdout)
    return found


def _installed(peer: Peer, place: Path, say: Callable[[str], None]) -> str:
    interpreter, stamp = str(place / "bin/python"), place / "installed"
    wanted = "\n".join(peer.requirements)
    if not stamp.is_file() or stamp.read_text() != wanted:
        say(f"{peer.name}: installing it into an environment of its own, once")
        shutil.rmtree(place, ignore_errors=True)
        _run("-m", "venv", "--without-pip", str(place))
        quick = ("-q", "--disable-pip-version-check", "--retries", "1", "--timeout", "10")
        _run("-m", "pip", "--python", interpreter, "install", *quick, *peer.requirements)
        stamp.write_text(wanted)
    return interpreter


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, timeout=PATIENCE)


def _reason(exc: Exception) -> str:
    """The last line of what was printed: pip's own words."""
    lines = (getattr(exc, "stderr", None) or str(exc)).strip().splitlines()
    return next((line for line in reversed(lines) if line.startswith("ERROR")), lines[-1] if lines else type(exc).__name__)
