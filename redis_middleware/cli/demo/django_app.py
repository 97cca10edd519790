"""The demo's Django project, in one file: two views, two layers."""

# mypy: disable-error-code="import-untyped"
# (Django ships no types.)

from __future__ import annotations

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from redis_middleware import Health, RateLimit, WSGIMiddleware
from redis_middleware.cli.demo import storage


def front(request: HttpRequest) -> HttpResponse:
    """Greet."""
    return HttpResponse(
        "<!doctype html><title>Django</title><h1>Hello from Django</h1><p>Reload: the sixth time in a minute is too many."
    )


def shout(request: HttpRequest) -> HttpResponse:
    """Say it louder."""
    return HttpResponse(request.body.decode().upper(), content_type="text/plain; charset=utf-8")


urlpatterns = [path("", front), path("shout", shout)]

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # for Content-Length
    ROOT_URLCONF=__name__,
)

app = WSGIMiddleware(get_wsgi_application(), layers=[Health(), RateLimit("100/hour; 5/minute")], storage=storage())
