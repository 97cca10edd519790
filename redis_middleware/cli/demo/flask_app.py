"""The demo's Flask app: two routes, two layers."""

from __future__ import annotations

from flask import Flask, Response, request

from redis_middleware import Health, RateLimit, WSGIMiddleware
from redis_middleware.cli.demo import storage

app = Flask(__name__)


@app.get("/")
def front() -> str:
    """Greet."""
    return "<!doctype html><title>Flask</title><h1>Hello from Flask</h1><p>Reload: the sixth time in a minute is too many."


@app.post("/shout")
def shout() -> Response:
    """Say it louder."""
    return Response(request.get_data(as_text=True).upper(), mimetype="text/plain")


app.wsgi_app = WSGIMiddleware(  # type: ignore[method-assign]  # the place that Flask has for it
    app.wsgi_app, layers=[Health(), RateLimit("100/hour; 5/minute")], storage=storage()
)
