"""The demo's FastAPI app: two routes, two layers."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse

from redis_middleware import ASGIMiddleware, Health, RateLimit
from redis_middleware.cli.demo import storage

app = FastAPI(title="The demo's FastAPI app")
app.add_middleware(ASGIMiddleware, layers=[Health(), RateLimit("100/hour; 5/minute")], storage=storage())


@app.head("/", include_in_schema=False)
@app.get("/")
async def front() -> dict[str, str]:
    """Greet."""
    return {"message": "Hello from FastAPI", "try": "reload: the sixth time in a minute is too many"}


@app.post("/shout")
async def shout(request: Request) -> PlainTextResponse:
    """Say it louder."""
    return PlainTextResponse((await request.body()).decode().upper())
