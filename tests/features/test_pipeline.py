"""Stages that overlap: the order, what is in memory at once, and errors of each stage."""

from __future__ import annotations

import threading

import pytest

from features.pipeline import overlapped


def plus(number: int) -> int:
    return number + 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_results_are_those_of_one_after_the_other(count):
    found = overlapped(range(count), before=plus, work=lambda x: x * 10, after=str)
    assert list(found) == [str((number + 1) * 10) for number in range(count)]


def test_the_next_is_made_ready_while_one_is_worked_on():
    ready: dict[int, threading.Event] = {number: threading.Event() for number in range(4)}

    def work(number: int) -> bool:
        # were the stages not side by side, this would wait in vain
        return ready[min(number + 1, 3)].wait(timeout=10)

    def before(number: int) -> int:
        ready[number].set()
        return number

    assert list(overlapped(range(4), before, work, after=bool)) == [True] * 4


def test_few_items_are_in_memory_at_once():
    alive, most, lock = 0, 0, threading.Lock()

    def before(number: int) -> int:
        nonlocal alive, most
        with lock:
            alive += 1
            most = max(most, alive)
        return number

    for _ in overlapped(range(100), before, lambda x: x, lambda x: x):
        with lock:
            alive -= 1
    assert most <= 5


@pytest.mark.parametrize("stage", ["before", "work", "after"])
def test_an_error_of_a_stage_is_raised_behind_what_was_whole(stage):
    def fails(number: int) -> int:
        if number == 3:
            raise ValueError("no audio")
        return number

    stages = dict.fromkeys(("before", "work", "after"), lambda x: x) | {stage: fails}
    found = []
    with pytest.raises(ValueError, match="no audio"):
        for item in overlapped(range(10), **stages):
            found.append(item)  # noqa: PERF402  what came before the error counts
    assert found == list(range(len(found))) and len(found) <= 3
