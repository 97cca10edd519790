"""Django's sessions on the layer `Sessions`: an engine, and a middleware.

    SESSION_ENGINE = "redis_middleware.contrib.django.sessions"
    MIDDLEWARE = ["redis_middleware.contrib.django.sessions.SessionMiddleware", ...]  # in place of Django's
    REDIS_MIDDLEWARE = {"storage": "redis://localhost:6379/0"}

There are two ways, and `request.session` is the same in both:

* *Alone*: the engine reads the session when it is first used, the middleware stores it and sets the cookie, as Django's
  settings say (see `settings.configured`). Django's own middleware will do, too; with it, a storage that is out of reach is 500.
* *At an edge* with `Sessions` around Django's app, the session is read with the other layers' one trip, and is the one that all
  apps see that are behind the host and have the same secret, cookie and storage. The middleware hands it to Django.

Rules:

* What is in it is a `Session`: only the keys that were changed are stored, and two requests lose nothing.
* Nothing waits for the storage before the session is used. In an event loop the methods with an `a` do; what else has to wait
  says so there. Once it is loaded, nothing waits but what stores.
* A key that was made up by a client is never taken for one, and costs no trip.
"""

from .middleware import SessionMiddleware
from .steps import CreateError, LoginRefused, SessionEnded, UpdateError
from .store import SessionStore

__all__ = ["CreateError", "LoginRefused", "SessionEnded", "SessionMiddleware", "SessionStore", "UpdateError"]
