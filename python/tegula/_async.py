"""Twins of methods for asyncio: `twin` declares one, which awaits the native call of the method."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast

from tegula._tegula import AsyncCall

if TYPE_CHECKING:
    from asyncio import Future

P = ParamSpec("P")
T = TypeVar("T")
U = TypeVar("U")


class Deferrable(Protocol):
    """A handle whose next native call can be carried out by another thread."""

    def _deferred(self, done: "Answer[Any]") -> Self: ...


H = TypeVar("H", bound=Deferrable)


class Answer(Generic[H]):
    """The answer of a deferred native call: native code calls it when the answer is there."""

    __slots__ = ("_future", "_handle", "_loop", "_step", "call")

    call: AsyncCall
    """The native call; set when it was queued."""

    def __init__(self, handle: H) -> None:
        from asyncio import get_running_loop

        self._handle = handle
        self._loop = get_running_loop()
        self._future = self._loop.create_future()
        self._future.add_done_callback(self._stop)
        self._step: Callable[[H, Any], Any] | None = None

    def __call__(self, answer: object, error: BaseException | None) -> None:
        # A closed loop has nobody who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, answer, error)

    def _stop(self, future: "Future[Any]") -> None:
        if future.cancelled():
            self.call.interrupt()

    def _settle(self, answer: object, error: BaseException | None) -> None:
        if self._future.done():  # cancelled
            return
        if error is None:
            self._future.set_result(answer)
        else:
            self._future.set_exception(error)

    async def wait(self) -> Any:
        """Return the answer, after the step that `then` added."""
        answer = await self._future
        return answer if self._step is None else self._step(self._handle, answer)


def then(handle: H, answer: T, step: Callable[[H, T], U]) -> U:
    """Return what `step` makes of a handle and the answer of a native call, now or when the answer is there."""
    if isinstance(answer, Answer):
        answer._step = step
        return cast("U", answer)
    return step(handle, answer)


def twin(method: Callable[Concatenate[H, P], T]) -> Callable[Concatenate[H, P], Coroutine[Any, Any, T]]:
    """Return the twin of a method: a coroutine function with the same parameters and result.

    The method runs with a deferred handle: it checks its arguments and begins the native call, which threads of tegula
    carry out. Thousands of calls can wait at no more cost than their arguments. A cancelled call that has not begun is
    dropped; one that has begun ends between two chunks.

    The method must return the answer of its native call as it is, or pass it through `then`.
    """

    async def awaited(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        answer = Answer(self)
        result = getattr(self._deferred(answer), name)(*args, **kwargs)
        return cast("T", await answer.wait() if result is answer else result)

    name = method.__name__
    update_wrapper(awaited, method)
    awaited.__name__ = f"async_{name}"
    awaited.__qualname__ = f"{method.__qualname__.removesuffix(name)}async_{name}"
    awaited.__doc__ = f"Await `{name}`."
    if "out" in method.__annotations__:
        awaited.__doc__ += "\n\n    If it is cancelled, `out` may be written to until the read ends."
    return awaited
