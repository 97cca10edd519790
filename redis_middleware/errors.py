"""The error tree. A subclass exists only where a caller would act differently."""

from __future__ import annotations


class MiddlewareError(Exception):
    """The root of everything that this package raises."""


class ConfigurationError(MiddlewareError, ValueError):
    """Something was configured wrongly. Raised by constructors, never by a request."""


class StorageError(MiddlewareError):
    """An op failed. It is thrown at the `yield from` that asked for the op; the driver's own error is `__cause__`."""


class StorageUnavailable(StorageError):
    """Nothing of a batch is known to have been executed: the storage was not reached, or did not answer in time.

    A batch that timed out may still have been executed. Whatever counts must therefore not be sent again.
    """


class SessionError(MiddlewareError):
    """A session cannot be changed like that: it comes too late, is too large, or the session has ended meanwhile."""


class TooManySessions(SessionError):
    """A user has as many sessions as `max_per_user` allows, and `when_full` is `"refuse"`."""


def fresh(error: StorageError) -> StorageError:
    """A new error like `error`, with `error` as its cause.

    One batch may serve several flows, and one exception thrown into two of them would carry both tracebacks.
    """
    copy = type(error)(*error.args)
    copy.__cause__ = error
    return copy
