"""Three stages at once: what comes before and what comes after the work goes on in threads beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Worked = TypeVar("Worked")
Done = TypeVar("Done")


def overlapped(
    items: Iterable[Item],
    before: Callable[[Item], Ready],
    work: Callable[[Ready], Worked],
    after: Callable[[Worked], Done],
) -> Iterator[Done]:
    """Yield ``after(work(before(item)))`` of each item, in order.

    `work` runs in the calling thread, the others in a thread each: while one item is worked on, the next is made
    ready and the last is finished. At most five items are in memory: one made ready and one waiting, one worked
    on, one being finished and one waiting. An error of any stage is raised here, in the order of the items.
    """
    ready: deque[Future[Ready]] = deque()
    done: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(1) as ahead, ThreadPoolExecutor(1) as behind:
        for item in items:
            ready.append(ahead.submit(before, item))
            if len(ready) > 1:
                done.append(behind.submit(after, work(ready.popleft().result())))
            if len(done) > 1:
                yield done.popleft().result()
        if ready:
            done.append(behind.submit(after, work(ready.popleft().result())))
        while done:
            yield done.popleft().result()
