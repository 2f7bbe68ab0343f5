"""Requests to an engine of vLLM from several threads: whoever waits drives it for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Any

__all__ = ["Requests"]


class _Waiting:
    """What has come for one request."""

    def __init__(self) -> None:
        self.tokens: deque[int] = deque()
        self.finished = False


class Requests:
    """Streams of tokens from one engine, which share its steps (continuous batching)."""

    def __init__(self, engine: Any) -> None:
        """Take an engine that nobody else drives at the same time.

        Args:
            engine: ``LLM.llm_engine``.
        """
        self._engine = engine
        self._lock = Lock()
        self._numbers = count()
        self._waiting: dict[str, _Waiting] = {}

    def tokens(self, ids: Sequence[int], params: Any) -> Iterator[int]:
        """Tokens that the model writes after a prompt; the request is put when the first is taken.

        Args:
            ids: of the prompt.
            params: ``SamplingParams`` with ``output_kind=DELTA``.
        """
        with self._lock:
            name = self._put(ids, params, None)
        own = self._waiting[name]
        try:
            while True:
                while own.tokens:
                    yield own.tokens.popleft()
                if own.finished:
                    return
                with self._lock:
                    if not own.tokens and not own.finished:
                        self._step()
        finally:
            with self._lock:
                self._waiting.pop(name, None)
                if not own.finished:
                    self._engine.abort_request([name])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else's tokens pass by in the ``with`` block: others end first, or wait."""
        with self._lock:
            while self._engine.has_unfinished_requests():
                self._step()
            yield

    def read(self, texts: Sequence[Sequence[int]], params: Any, *, salt: str | None) -> None:
        """Let texts pass by, in one step if they fit; only inside :meth:`alone`.

        Args:
            texts: token ids of each.
            params: ``SamplingParams`` of one token.
            salt: set apart in the engine's prefix cache under this name: nothing is taken from
                there, nor is what is put there ever found.
        """
        names = [self._put(ids, params, salt) for ids in texts]
        while self._engine.has_unfinished_requests():
            self._step()
        for name in names:
            del self._waiting[name]

    def _put(self, ids: Sequence[int], params: Any, salt: str | None) -> str:
        name = f"s3-{next(self._numbers)}"
        prompt: dict[str, Any] = {"prompt_token_ids": list(map(int, ids))}
        if salt is not None:
            prompt["cache_salt"] = salt
        self._waiting[name] = _Waiting()
        self._engine.add_request(name, prompt, params)
        return name

    def _step(self) -> None:
        for output in self._engine.step():
            waiting = self._waiting.get(output.request_id)
            if waiting is not None:
                waiting.tokens.extend(output.outputs[0].token_ids)
                waiting.finished = output.finished
