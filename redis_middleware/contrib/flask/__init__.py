"""What only Flask needs: limits on single views, `limit("5/minute")`, and `flask.session`, by a `SessionInterface`."""

from .limits import limit
from .sessions import SessionInterface

__all__ = ["SessionInterface", "limit"]
