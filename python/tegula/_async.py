"""Native calls for asyncio: another thread carries them out, and none waits for them."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def call(method: Callable[..., T], *arguments: object) -> T:
    """Await a native method that takes `done`.

    The call begins at once, on threads of tegula's own, and reads and decodes as every other. Thousands can be under
    way at no more cost than their arguments. One that is cancelled runs to its end unheard.
    """
    from asyncio import get_running_loop

    loop = get_running_loop()
    future = loop.create_future()

    def settle(answer: T, error: BaseException | None) -> None:
        if future.done():  # cancelled
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def done(answer: T, error: BaseException | None) -> None:
        # Where the loop is closed, nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, answer, error)

    keywords: dict[str, Any] = {"done": done}
    method(*arguments, **keywords)
    result: T = await future
    return result
