"""The application's own errors. Everything else that is raised is a bug.

RouterError
├── ConfigError         the configuration or the environment is wrong (exit code 2)
├── UsageError          the call is wrong (exit code 2, HTTP 400)
├── AlreadyThereError   another process has made the change (exit code 1)
├── NotFoundError       an unknown request, provider or category (HTTP 404)
├── OverloadedError     the bounded queue is full (HTTP 429, with Retry-After)
├── StorageError        the log, the knowledge base or a file cannot be read or written
├── ProviderError       a provider failed a call; `kind` says how (see `providers.base`)
└── NoAnswerError       every provider failed and no passage is good enough (HTTP 503)
"""

from __future__ import annotations


class RouterError(RuntimeError):
    """Base of the tree: `str(error)` is one sentence that a user can act on.

    A RuntimeError, because LangGraph's server only forwards messages of Python's built-in types.
    """


class ConfigError(RouterError):
    """The message names the file, the line or key, and how to fix it."""


class UsageError(RouterError):
    """The caller's request is invalid; `param` names the argument.

    `code` is OpenAI's code for this kind of mistake, if it has one.
    """

    def __init__(self, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class AlreadyThereError(RouterError):
    """What was to be added already exists."""


class NotFoundError(RouterError):
    """What was named does not exist."""


class OverloadedError(RouterError):
    """Too many requests wait; try again in `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageError(RouterError):
    """A folder, file or database cannot be used."""


class NoAnswerError(RouterError):
    """No provider answered; `answer` records what each provider said, attempt by attempt."""

    def __init__(self, message: str, answer: object = None) -> None:
        super().__init__(message)
        self.answer = answer
