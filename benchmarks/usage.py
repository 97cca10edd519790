"""What some requests use: the CPU time of the server's worker and of Redis, with what the client saw meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from .cpu import SETTLE, cpu_seconds
from .load import Answers, Client
from .servers import Target


@dataclass(frozen=True, slots=True)
class Usage:
    """The microseconds of CPU for one request."""

    worker_us: float
    redis_us: float
    answers: Answers


@dataclass(frozen=True, slots=True)
class Loaded:
    """A server that takes load, the connections to it, and the process of its Redis."""

    target: Target
    load: Client
    redis: int

    async def usage(self, requests: int, request: bytes | Iterator[bytes]) -> Usage:
        """Send so many requests and see what they use."""
        before = cpu_seconds(self.target.worker), cpu_seconds(self.redis)
        answers = await self.load.run(requests, request)
        await asyncio.sleep(SETTLE)
        after = cpu_seconds(self.target.worker), cpu_seconds(self.redis)
        worker, redis = ((now - then) / requests * 1e6 for now, then in zip(after, before, strict=True))
        return Usage(worker, redis, answers)
