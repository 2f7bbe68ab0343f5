"""Requests of several threads in one round."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3_retriever.models.rounds import Rounds


class Answers:
    """Doubles numbers; the first round goes on until ``gate`` is open."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.began = threading.Event()
        self.gate = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.rounds.append(list(numbers))
        self.began.set()
        assert self.gate.wait(60)
        if 13 in numbers:
            raise ValueError("thirteen")
        if 99 in numbers:
            raise KeyboardInterrupt
        return [2 * n for n in numbers]


def ask_meanwhile(
    rounds: Rounds[int, int], answers: Answers, first: int, others: Sequence[int]
) -> list[int | BaseException]:
    """What ``first`` and ``others`` get, where the others come while the first is answered."""

    def ask(n: int) -> int | BaseException:
        try:
            return rounds.ask(n, answers)
        except BaseException as e:
            return e

    with ThreadPoolExecutor(1 + len(others)) as pool:
        futures = [pool.submit(ask, first)]
        assert answers.began.wait(60)
        for count, n in enumerate(others, start=1):  # one after the other, so in this order
            futures.append(pool.submit(ask, n))
            until = time.monotonic() + 60
            while len(rounds._waiting) < count and time.monotonic() < until:
                time.sleep(0.001)
        answers.gate.set()
        return [future.result() for future in futures]


def test_those_who_wait_share_the_next_round() -> None:
    answers = Answers()
    found = ask_meanwhile(Rounds(most=8), answers, 1, [2, 3, 4])
    assert found == [2, 4, 6, 8]
    assert answers.rounds == [[1], [2, 3, 4]]


def test_a_round_has_a_most() -> None:
    answers = Answers()
    assert ask_meanwhile(Rounds(most=2), answers, 1, [2, 3, 4]) == [2, 4, 6, 8]
    assert answers.rounds == [[1], [2, 3], [4]]


def test_who_cannot_be_answered_fails_alone() -> None:
    answers = Answers()
    two, thirteen, six = ask_meanwhile(Rounds(most=8), answers, 1, [13, 3])
    assert (two, six) == (2, 6)
    assert isinstance(thirteen, ValueError)
    assert answers.rounds == [[1], [13, 3], [13], [3]]


def test_a_thread_that_is_interrupted_leaves_the_others_to_themselves() -> None:
    answers = Answers()
    rounds: Rounds[int, int] = Rounds(most=8)
    found = ask_meanwhile(rounds, answers, 1, [99, 3, 4])
    assert found[0] == 2
    # whoever led the rounds with 99 in them is interrupted; all others are answered
    assert sum(isinstance(each, KeyboardInterrupt) for each in found[1:]) >= 1
    for n, each in zip((99, 3, 4), found[1:], strict=True):
        assert isinstance(each, KeyboardInterrupt) or (n != 99 and each == 2 * n)
    assert rounds.ask(5, answers) == 10
    assert answers.rounds[-1] == [5]  # nothing is left of those who were interrupted


def test_an_error_and_then_an_answer() -> None:
    answers = Answers()
    answers.gate.set()
    rounds: Rounds[int, int] = Rounds(most=8)
    with pytest.raises(ValueError, match="thirteen"):
        rounds.ask(13, answers)
    assert rounds.ask(5, answers) == 10
