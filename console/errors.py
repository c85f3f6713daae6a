"""What a command can't do, in words for a person, with the exit code that says it to a script."""

from __future__ import annotations

from console.exit_codes import ExitCode


class ConsoleError(Exception):
    """Root of the console's errors.

    ``hint`` names the next thing to try; ``exit_code`` is what a command line ends with.
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


class UsageError(ConsoleError):
    """Arguments, configuration or the cluster's state do not allow this; nothing was changed."""

    exit_code = ExitCode.USAGE


class ClusterUnreachable(ConsoleError):  # noqa: N818 - the name says what it is
    """No node of the cluster answered."""

    exit_code = ExitCode.UNREACHABLE


class OutcomeUnknown(ConsoleError):  # noqa: N818
    """The request was sent and not answered: it may have happened."""

    exit_code = ExitCode.UNKNOWN


class NodeRefused(ConsoleError):  # noqa: N818
    """A node answered no; ``code`` is its :class:`nodecore.errors.Code`, ``reason`` a word for
    programs or empty.
    """

    def __init__(self, text: str, code: int, *, hint: str = "", reason: str = "") -> None:
        super().__init__(text, hint=hint)
        self.code = code
        self.reason = reason


class StartFailed(ConsoleError):  # noqa: N818
    """A process did not become ready; ``tail`` holds the last lines of its log. One that could not
    use its configuration makes that the exit code of the command too.
    """

    def __init__(self, text: str, tail: str = "", *, hint: str = "") -> None:
        super().__init__(text, hint=hint)
        self.tail = tail
