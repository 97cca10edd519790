"""The public suite of HTTP cache tests (https://cache-tests.fyi): installed by npm, its origin server, its client, its list.

The client and the origin are started as `npm run server` and `npm run cli` would start them, but for npm in between: it would
leave the server behind in the background.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from redis_middleware.cli.processes import Server, free_port, serving

PACKAGES = ("http-cache-tests@0.4.5", "node-fetch@2.7.0")
"""The suite, and what its client sends requests with."""

DIRECTORY = Path(__file__).parents[2] / ".venv" / "conformance"
"""Where they are installed: git ignores it, and `make clean` removes it."""

PATIENCE = 600
"""Seconds that a run may take; a quiet machine needs 15. One request may take 20 (`patience.cjs`)."""


@dataclass(frozen=True, slots=True)
class Test:
    """A test as the suite lists it: `kind` is required, optimal or check; without the tests in `needs` it says nothing."""

    __test__ = False  # no test of pytest's

    id: str
    kind: str
    needs: tuple[str, ...]


Results = Mapping[str, Any]
"""What the client reports: True, or the name of an error and its message."""


class Suite:
    """An installed suite. Raises `SystemExit` if Node.js cannot be found."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.node = _binary("node")
        self.package = json.loads((directory / "package.json").read_text(encoding="utf-8"))
        self.version: str = self.package["version"]

    @cached_property
    def tests(self) -> dict[str, Test]:
        """All tests that a cache outside of a browser is to pass, in the suite's order."""
        script = Path(__file__).with_name("tests.mjs")
        listed = self._output([self.node, str(script), str(self.directory)], {})
        return {test["id"]: Test(test["id"], test["kind"], tuple(test["needs"])) for test in json.loads(listed)}

    @contextmanager
    def origin(self) -> Iterator[Server]:
        """The suite's own server, until the block ends."""
        port = free_port()
        settings = {"protocol": "http", "port": str(port), "pidfile": os.devnull}
        with serving(self._script("server"), port, env=_settings(settings), cwd=self.directory) as server:
            yield server

    def run(self, address: str) -> Results:
        """Run all tests against a server."""
        results: Results = json.loads(self._client(address, ""))
        return results

    def run_one(self, address: str, test: str) -> str:
        """Run one test; what the client prints of it, for a person."""
        return self._client(address, test)

    def _client(self, address: str, test: str) -> str:
        patience = f"--require={Path(__file__).with_name('patience.cjs')}"
        return self._output(self._script("cli", patience), _settings({"base": f"http://{address}", "id": test}))

    def _output(self, command: list[str], env: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            env={**os.environ, **env},
            cwd=self.directory,
            stdout=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return done.stdout

    def _script(self, name: str, *options: str) -> list[str]:
        """The command of an npm script, in the foreground."""
        words = self.package["scripts"][name].removesuffix("&").split()
        return [self.node, *options, *words[1:]]


def installed() -> Suite:
    """The suite of the pinned version; the first time it is brought from the npm registry. Raises `SystemExit` without npm."""
    package = DIRECTORY / "node_modules" / PACKAGES[0].partition("@")[0]
    complete = DIRECTORY / "installed"
    if not complete.is_file() or complete.read_text(encoding="utf-8").split() != list(PACKAGES):
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        command = [_binary("npm"), "install", "--prefix", str(DIRECTORY), "--save-exact", "--ignore-scripts", "--no-audit"]
        subprocess.run([*command, "--no-fund", "--loglevel", "error", *PACKAGES], check=True, stdout=subprocess.DEVNULL)
        complete.write_text("\n".join(PACKAGES), encoding="utf-8")
    return Suite(package)


def _binary(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"the conformance tests need {name} on the PATH: install Node.js 18 or newer, with npm")
    return found


def _settings(values: Mapping[str, str]) -> dict[str, str]:
    """The environment by which npm hands options to a script: as given, and as the package's default."""
    return {f"npm_{source}config_{name}": value for source in ("", "package_") for name, value in values.items()}
