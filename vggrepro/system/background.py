"""One piece of work in a thread of its own, for modules that are imported early: ``concurrent.futures`` takes
as long to import as all of them together."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Background(Generic[R]):
    """``function(*args, **kwargs)``, begun at once in a thread."""

    def __init__(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> None:
        self._results: list[R] = []
        self._error: BaseException | None = None

        def work() -> None:
            try:
                self._results.append(function(*args, **kwargs))
            except BaseException as error:
                self._error = error

        self._thread = Thread(target=work)
        self._thread.start()

    def ended(self) -> bool:
        """Whether the work is done, or has failed."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until the work has ended, however it has."""
        self._thread.join()

    def result(self) -> R:
        """What the function returned, once it has. Raises what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._results[0]
