"""Answers on disk: a line each, written at once, so that a run that was killed goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from s3_retriever.errors import InputError

__all__ = ["STAGES", "Answer", "AnswerFile", "Key"]

STAGES = ("scan", "retrieve", "prefill", "decode")
"""Of the seconds of an answer, in their order."""


class Key(NamedTuple):
    """What an answer is the answer to."""

    method: str
    task: str
    id: str


@dataclass(frozen=True)
class Answer:
    """What a method wrote for a record, what it is worth, and what it cost."""

    method: str
    task: str
    id: str
    prediction: str
    score: float
    """Between 0 and 1, by the task's metric."""
    n_context_tokens: int
    """Of the context that the answer rests on; of a compressed cache, its positions."""
    n_new_tokens: int
    seconds: dict[str, float]
    """By stage (:data:`STAGES`)."""
    peak_bytes: int
    """The most memory that any stage took above what was in use before it."""

    @property
    def key(self) -> Key:
        """What it is the answer to."""
        return Key(self.method, self.task, self.id)


_ANSWER = TypeAdapter(Answer)


class AnswerFile:
    """The answers in a folder, and the settings that they were made with."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open or create a folder; a last line that is cut off is dropped.

        Args:
            folder: holds ``settings.json`` and ``answers.jsonl``.
            settings: everything that an answer depends on, as JSON values.

        Raises:
            InputError: the folder cannot be written, holds answers made with other settings (names
                them), or a line that is no answer (names it).
        """
        self._path = folder / "answers.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _check_settings(folder / "settings.json", settings)
            self.answers = {answer.key: answer for answer in _read(self._path)}
        except OSError as e:
            raise InputError(f"{folder} cannot be used: {e}") from e

    def add(self, answer: Answer) -> None:
        """Write an answer's line before anything else happens."""
        with self._path.open("ab") as out:
            out.write(_ANSWER.dump_json(answer) + b"\n")
        self.answers[answer.key] = answer


def _check_settings(path: Path, settings: Mapping[str, Any]) -> None:
    if not path.exists():
        path.write_text(json.dumps(dict(settings), indent=1) + "\n", encoding="utf-8")
        return
    try:
        before = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as e:
        raise InputError(f"{path} is damaged: {e}") from e
    other = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if other:
        differ = "; ".join(f"{n}: {before.get(n)!r} there, now {settings.get(n)!r}" for n in other)
        raise InputError(f"{path.parent} holds answers made with other settings ({differ})")


def _read(path: Path) -> list[Answer]:
    if not path.exists():
        return []
    data = path.read_bytes()
    end = data.rfind(b"\n") + 1
    if end < len(data):  # killed while it wrote
        with path.open("r+b") as file:
            file.truncate(end)
    found = []
    for number, line in enumerate(data[:end].splitlines(), start=1):
        try:
            found.append(_ANSWER.validate_json(line))
        except ValidationError as e:
            raise InputError(f"{path}, line {number} is no answer: {e.errors()[0]['msg']}") from e
    return found
