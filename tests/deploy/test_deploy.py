"""What deploy/ starts is what runs: each file's own command, on a free port."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from tests.postgres import Server
from tests.server.conftest import finished, resident  # noqa: F401 - a fixture
from tests.server.test_command import ran

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SECRET = "0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {SECRET}"}


def _instructions() -> dict[str, list[str]]:
    """What stands behind each instruction of the Dockerfile."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found: dict[str, list[str]] = {}
    for line in filter(str.strip, text.splitlines()):
        name, _, rest = line.partition(" ")
        found.setdefault(name, []).append(rest.strip())
    return found


def _compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def _filled(text: str, **given: str) -> str:
    """Compose's ``${NAME:-default}``."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: given.get(found[1], found[2]), text)


def _unit() -> dict[str, list[str]]:
    settings: dict[str, list[str]] = {}
    for line in (DEPLOY / "s3-retriever.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            settings.setdefault(name, []).append(value)
    return settings


def _of_dockerfile() -> list[str]:
    found = _instructions()
    return json.loads(found["ENTRYPOINT"][0]) + json.loads(found["CMD"][0])


def _of_compose(**given: str) -> list[str]:
    command = [_filled(part, **given) for part in _compose()["services"]["server"]["command"]]
    return json.loads(_instructions()["ENTRYPOINT"][0]) + command


def _of_unit() -> list[str]:
    [command] = _unit()["ExecStart"]
    return shlex.split(command)


def _here(command: list[str], folder: Path, small: list[str]) -> list[str]:
    """The arguments with places of this machine, a free port and a small model."""
    assert Path(command[0]).name == "s3-retriever"
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps({"tokens": [{"name": "web", "token": SECRET}]}))
    tokens.chmod(0o600)
    changed = list(command[1:])
    for option, value in [("--token-file", str(tokens)), ("--port", "0")]:
        changed[changed.index(option) + 1] = value
    index = changed.index("--index") + 1
    if "://" not in changed[index]:
        changed[index] = str(folder / "index")
    return [*changed, *small]


def _runs(arguments: list[str]) -> None:
    with ran(*arguments) as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=url, headers=HEADERS, timeout=60) as client:
            assert httpx.get(f"{url}/v1/info").status_code == 401
            added = client.post("/v1/documents", json={"documents": ["The mill is old."]})
            assert finished(client, added)["state"] == "done"
            assert client.get("/v1/info").json()["documents"] == 1
        server.end()


def test_the_command_of_the_image_runs_and_its_check_tells(
    tmp_path: Path,
    resident: list[str],  # noqa: F811
) -> None:
    _, check = _instructions()["HEALTHCHECK"][0].split(" CMD ")
    _, *code = json.loads(check)
    with ran(*_here(_of_dockerfile(), tmp_path, resident)) as server:
        port = server.url.rpartition(":")[2]
        here = [sys.executable, *(part.replace("8321", port) for part in code)]
        assert subprocess.run(here, check=False).returncode == 0
        server.end()
        gone = subprocess.run(here, check=False, stderr=subprocess.DEVNULL)
        assert gone.returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("command", [_of_compose, _of_unit])
def test_the_other_commands_run(
    command: Callable[[], list[str]],
    tmp_path: Path,
    resident: list[str],  # noqa: F811
) -> None:
    _runs(_here(command(), tmp_path, resident))


@pytest.mark.slow
def test_the_command_of_compose_runs_with_postgresql(
    tmp_path: Path,
    resident: list[str],  # noqa: F811
) -> None:
    database = Server().start()
    try:
        command = _of_compose(S3_RETRIEVER_INDEX=database.url())
        _runs(_here(command, tmp_path, resident))
    finally:
        database.remove()


def test_the_image_keeps_what_the_makefile_says_and_runs_as_nobody_in_particular() -> None:
    found = _instructions()
    [torch] = [run for run in found["RUN"] if "torch==" in run]
    assert found["RUN"].index(torch) < next(
        n for n, run in enumerate(found["RUN"]) if "[files,postgres,server]" in run
    )
    pinned = "-c constraints.txt \"$(grep '^torch==' constraints.txt)\""
    assert pinned in re.sub(r"\s+", " ", torch)
    assert pinned.replace("$", "$$") in (ROOT / "Makefile").read_text()
    assert found["USER"] == ["10001:10001"]
    for line in found["COPY"]:
        for source in line.split()[:-1]:
            assert source.startswith(("--from", "/opt")) or (ROOT / source).exists()


def test_compose_and_image_belong_together() -> None:
    compose = _compose()
    server, database = compose["services"]["server"], compose["services"]["postgres"]
    assert _of_compose() == _of_dockerfile()
    assert (DEPLOY / server["build"]["context"] / server["build"]["dockerfile"]).is_file()
    assert server["read_only"] and server["cap_drop"] == ["ALL"]
    assert set(server["secrets"]) == set(compose["secrets"])
    named = {volume.partition(":")[0] for s in (server, database) for volume in s["volumes"]}
    assert named == set(compose["volumes"])
    assert "profiles" not in server and database["profiles"] == ["postgres"]
    assert all(port.startswith("127.0.0.1:") for port in server["ports"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_knows_all_that_the_unit_says(tmp_path: Path) -> None:
    unit = tmp_path / "s3-retriever.service"
    text = (DEPLOY / unit.name).read_text()
    program = tmp_path / "s3-retriever"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(text.replace(_of_unit()[0], str(program)))
    known = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False
    )
    assert (known.returncode, known.stderr) == (0, "")
    exposed = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout  # 2.0 of 10 at most
