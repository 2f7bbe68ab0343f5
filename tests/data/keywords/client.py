"""A client of the tide service: fetches, caches and joins forecasts."""

import time


class TideClient:
    """Asks the service for heights; one object a harbour."""

    def __init__(self, harbour, token):
        self.harbour = harbour
        self.token = token

    def fetch_forecast(self, day):
        """Heights of one day, as the service sends them."""
        return self._get(f"/forecast/{self.harbour}/{day}")

    def fetch_station_list(self):
        """Names of all harbours that have a gauge."""
        return self._get("/stations")


class RetryBudgetExceeded(Exception):
    """The service failed more often than the caller allows."""


def parse_height_cm(text):
    """A height such as "4.2 m" as whole centimetres."""
    return round(float(text.removesuffix("m")) * 100)


def merge_overlapping_windows(windows):
    """Joins times that touch, so that every hour is fetched once."""
    joined = []
    for start, end in sorted(windows):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def wait_exponentially(attempt, base=0.5):
    """Sleeps longer after each attempt that failed."""
    time.sleep(base * 2**attempt)


MAX_CACHE_DAYS = 14
USER_AGENT = "tideclient/3.8.1"
