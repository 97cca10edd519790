"""Who is compared: a library in a framework on a server, beside the same app without it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from .choice import BARE, FRAMEWORK, LIBRARY, OURS
from .peers import Environments, Peer
from .servers import Target, serving_app


@dataclass(frozen=True, slots=True)
class Contender:
    """A library in a framework. `framework` is a key of the apps' `FRAMEWORKS`, `library` is what that function takes.

    Without a `peer` it runs in the environment of the benchmarks.
    """

    key: str
    title: str
    framework: str
    library: str
    server: str
    peer: Peer | None = None

    @property
    def ours(self) -> bool:
        """Whether it is this package that is measured."""
        return self.library in (OURS, "engine")

    @property
    def bare(self) -> Contender:
        """The same app without the library, in the same environment: what CPU times are compared with."""
        return replace(self, key=BARE, title=f"{self.framework} alone", library=BARE)


def running(
    contender: Contender, module: str, redis_url: str, places: Environments, **more: str
) -> AbstractContextManager[Target]:
    """Serve what `application()` of a module makes for a contender until the block ends. `more` are environment variables."""
    env = {FRAMEWORK: contender.framework, LIBRARY: contender.library, "REDIS_URL": redis_url, **more}
    return serving_app(contender.server, module, contender.title, env, places.interpreter(contender.peer))
