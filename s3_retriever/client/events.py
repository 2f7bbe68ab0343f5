"""Server-sent events, read line by line."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Event", "EventReader"]


@dataclass(frozen=True)
class Event:
    """One event of a stream."""

    name: str
    """``message`` where the stream gives none."""
    data: str


class EventReader:
    """Puts lines together to events.

    Example:
        >>> reader = EventReader()
        >>> [reader.line(line) for line in ("event: text", "data: Hi", "")][-1]
        Event(name='text', data='Hi')
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._name = ""
        self._data: list[str] = []

    def line(self, line: str) -> Event | None:
        """Take the next line, without its end; the event that it completes, if it does."""
        if not line:
            name, data = self._name, self._data
            self._name, self._data = "", []
            return Event(name or "message", "\n".join(data)) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None
