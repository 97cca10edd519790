"""Moving in: readers of what other session libraries left in the same Redis, so that switching logs nobody out.

A reader is values in, values out: it says which plain Redis key the old library's cookie names, and what is in the record
there. Whoever uses it fetches and deletes.

Rules:

* A client names no key but those of the old library: a cookie's value has the shape that the library gives its ids, or it
  is None. Where the library signed it, the signature is right, too.
* What the library put in for itself is left out. What the framework or the app put in stays (Flask's `_permanent`, Django's
  `_auth_user_id` and `_session_expiry`): they stay, too.
* Pickle is recognised and refused.
"""

from .connect_redis import ConnectRedis
from .django_cache import DjangoCache
from .django_database import DjangoDatabase
from .flask_session import FlaskSession
from .reader import Reader, Unreadable
from .starsessions import Starsessions

__all__ = ["ConnectRedis", "DjangoCache", "DjangoDatabase", "FlaskSession", "Reader", "Starsessions", "Unreadable"]
