"""Tide tables for small harbours: harmonic prediction, high and low water, a printed page."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

EPOCH = datetime(2000, 1, 1)
SPEEDS = {"M2": 28.984104, "S2": 30.0, "N2": 28.439730, "K1": 15.041069, "O1": 13.943035}


@dataclass(frozen=True)
class Constituent:
    """One cosine of the tide: metres and degrees."""

    name: str
    amplitude: float
    phase: float

    def height(self, hours: float) -> float:
        angle = math.radians(SPEEDS[self.name] * hours - self.phase)
        return self.amplitude * math.cos(angle)


class Harbour:
    """A place with a chart datum and its constituents."""

    def __init__(self, name: str, mean_level: float, constituents: list[Constituent]) -> None:
        unknown = [c.name for c in constituents if c.name not in SPEEDS]
        if unknown:
            raise ValueError(f"{name}: no speed known for {', '.join(unknown)}")
        self.name = name
        self.mean_level = mean_level
        self.constituents = constituents

    def height_at(self, when: datetime) -> float:
        hours = (when - EPOCH).total_seconds() / 3600
        return self.mean_level + sum(c.height(hours) for c in self.constituents)

    def extremes(self, day: datetime, step_minutes: int = 6) -> list[tuple[datetime, float, str]]:
        # sampled first, then refined: a closed form does not exist for several constituents
        step = timedelta(minutes=step_minutes)
        times = [day + i * step for i in range(24 * 60 // step_minutes + 2)]
        heights = [self.height_at(t) for t in times]
        found = []
        for i in range(1, len(times) - 1):
            before, here, after = heights[i - 1 : i + 2]
            if here > before and here >= after:
                found.append((*self._refined(times[i], step, +1), "high"))
            elif here < before and here <= after:
                found.append((*self._refined(times[i], step, -1), "low"))
        return found

    def _refined(self, around: datetime, step: timedelta, sign: int) -> tuple[datetime, float]:
        low, high = around - step, around + step
        while high - low > timedelta(seconds=20):
            third = (high - low) / 3
            left, right = low + third, high - third
            if sign * self.height_at(left) < sign * self.height_at(right):
                low = left
            else:
                high = right
        best = low + (high - low) / 2
        return best, self.height_at(best)


def clearance(harbour: Harbour, bridge: float, mast: float, when: datetime) -> float:
    """Metres between masthead and bridge; negative means that the mast hits it."""
    return bridge - harbour.height_at(when) - mast


def safe_windows(harbour, bridge, mast, day, margin=0.3):
    start = None
    for minute in range(0, 24 * 60, 5):
        now = day + timedelta(minutes=minute)
        if clearance(harbour, bridge, mast, now) >= margin:
            start = start or now
        elif start:
            yield start, now
            start = None
    if start:
        yield start, day + timedelta(days=1)


def page(harbour: Harbour, day: datetime, width: int = 32) -> str:
    lines = [f"{harbour.name} {day:%d %B %Y}".center(width), "-" * width]
    for when, height, kind in harbour.extremes(day):
        lines.append(f"{when:%H:%M}  {kind:<5} {height:5.2f} m")
    if len(lines) == 2:
        lines.append("no turning point today".center(width))
    return "\n".join(lines)


if __name__ == "__main__":
    ullvik = Harbour("Ullvik", 1.82, [Constituent("M2", 0.94, 41.0), Constituent("S2", 0.33, 77.5)])
    print(page(ullvik, datetime(2026, 5, 9)))
