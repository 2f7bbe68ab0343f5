"""Every command takes a URL in place of a folder, or says why not."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from s3_retriever.storage.postgres.writer import GATE
from tests.cli.conftest import Run, Setup
from tests.postgres import Server


@pytest.fixture
def url(postgres: Server, setup: Setup, run: Run, request: pytest.FixtureRequest) -> str:
    """An index of the files of ``setup``."""
    name = request.node.name.replace("test_", "cli_")[:30]
    place = postgres.url(schema=name).replace("postgres@", "postgres:hush-hush@")
    result = run("index", setup.files, "--root", setup.files, "--index", place, *setup.resident)
    assert result.exit_code == 0, result.output
    assert "3 added" in result.stdout
    assert "hush" not in result.output
    return place


def record_of(run: Run, *arguments: object) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert "hush" not in result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_the_way_of_an_index(run: Run, setup: Setup, url: str, tmp_path: Path) -> None:
    profile = ["--profile", setup.profile]
    again = run("index", setup.files, "--root", setup.files, "--index", url, *setup.resident)
    assert "3 unchanged" in again.stdout
    dry = run("index", setup.files, "--root", setup.files, "--index", url, "--dry-run", *profile)
    assert "3 unchanged" in dry.stdout and "dry run" in dry.stdout

    asked = ["Who finished the lighthouse?", "--filter", '{"title": {"$exists": true}}']
    here = record_of(run, "search", *asked, "--index", url, *setup.resident)
    there = record_of(run, "search", *asked, "--index", setup.index, *setup.resident)
    assert here["spans"] == there["spans"] != []

    record = record_of(run, "info", "--index", url)
    assert record["documents"] == 3
    assert record["partitions"] == 4
    shown = run("info", "--index", url)
    assert "partitions" in shown.stdout and "hush" not in shown.output

    checked = run("doctor", "--index", url, *profile)
    assert (checked.exit_code, "is whole" in checked.output) == (0, True)

    place = ["--index", url, *profile]
    assert run("set-metadata", "bread.md", '{"kind": "food"}', *place).exit_code == 0
    assert "1 documents deleted" in run("delete", "lighthouse.txt", *place).stdout
    assert run("compact", *place).exit_code == 0

    bundle = tmp_path / "all.bundle"
    assert "2 documents" in run("export", "--to", bundle, *place).stdout
    folder = tmp_path / "folder"
    assert run("import", bundle, "--index", folder, *profile).exit_code == 0
    assert record_of(run, "info", "--index", folder)["documents"] == 2
    run("delete", "bread.md", *place)
    assert "1 added, 1 updated" in run("import", bundle, *place).stdout
    spaced = run("import", bundle, *place, "--namespace", "team-a")
    assert spaced.exit_code == 0, spaced.output
    names = run("info", "--index", url).stdout
    assert "team-a" in names


def test_what_a_database_does_itself(run: Run, setup: Setup, url: str, tmp_path: Path) -> None:
    place = ["--index", url, "--profile", setup.profile]
    copied = run("snapshot", "--to", tmp_path / "copy", *place)
    assert (copied.exit_code, "pg_dump" in copied.output) == (2, True)
    repaired = run("doctor", "--repair", *place)
    assert (repaired.exit_code, "backup" in repaired.output) == (2, True)
    assert "hush" not in copied.output + repaired.output


def test_a_namespace_is_deleted(run: Run, setup: Setup, url: str, postgres: Server) -> None:
    place = ["--index", url, "--profile", setup.profile]
    given = [setup.files, "--root", setup.files, *place, "--namespace", "team-a"]
    assert run("index", *given, *setup.resident[2:]).exit_code == 0
    schema = f"{parse_qs(urlsplit(url).query)['schema'][0]}__team-a"
    postgres.execute(f'CREATE TABLE "{schema}".theirs (x int)')
    asked = ["namespaces", "--index", url, "--delete", "team-a", "--yes"]
    with psycopg.connect(postgres.url()) as writer:
        writer.execute("SELECT pg_advisory_xact_lock_shared(%s, hashtext(%s))", (GATE, schema))
        busy = run(*asked)
        assert (busy.exit_code, "in use" in busy.stderr) == (2, True)
    with psycopg.connect(postgres.url()) as reader:
        reader.execute(f'SELECT * FROM "{schema}".documents')
        busy = run(*asked)
        assert (busy.exit_code, "in use" in busy.stderr) == (2, True)
    gone = run(*asked)
    assert (gone.exit_code, gone.stdout) == (0, "namespace team-a deleted\n"), gone.output
    assert run("namespaces", "--index", url).stdout == ""
    assert postgres.execute(f'SELECT * FROM "{schema}".theirs') == []
    postgres.execute(f'DROP TABLE "{schema}".theirs')
    assert run("index", *given, *setup.resident[2:]).exit_code == 0  # it can be made anew
    assert run(*asked).exit_code == 0
    there = f"SELECT FROM pg_namespace WHERE nspname = '{schema}'"
    assert postgres.execute(there) == []
    assert record_of(run, "info", "--index", url)["documents"] == 3


def test_migrating_from_a_folder(run: Run, setup: Setup, own_index: Path, postgres: Server) -> None:
    url = postgres.url(schema="cli_migrated")
    result = run("migrate", "--index", own_index, "--to", url, *setup.resident)
    assert result.exit_code == 0, result.output
    assert record_of(run, "info", "--index", url)["documents"] == 3


def test_nothing_is_there(run: Run, setup: Setup, postgres: Server) -> None:
    url = postgres.url(schema="cli_nothing")
    for command in (["search", "Who?"], ["info"], ["export", "--to", "x"]):
        result = run(*command, "--index", url)
        assert result.exit_code == 2
        assert "no index at" in result.output
    wrong = run("info", "--index", url.replace("cli_nothing", "No-Such"))
    assert (wrong.exit_code, "schema" in wrong.output) == (2, True)


def test_an_index_is_made_on_two_servers(run: Run, setup: Setup, postgres: Server) -> None:
    second = Server().start()
    try:
        postgres.knows(second, "cli_second")
        place = ["--index", postgres.url(schema="cli_dealt"), "--profile", setup.profile]
        there = second.url().replace("postgres@", "postgres:hush-hush@")
        made = run("create", *place, "--server", f"cli_second={there}")
        assert (made.exit_code, "on 2 servers" in made.stdout) == (0, True), made.output
        result = run("index", setup.files, *place, *setup.resident[2:])
        assert result.exit_code == 0, result.output
        assert second.execute('SELECT count(*) FROM "cli_dealt".blocks_1') != []
        again = run("create", *place)
        assert (again.exit_code, "there is an index" in again.output) == (2, True)
        assert "hush" not in made.output + again.output
    finally:
        second.remove()


@pytest.mark.parametrize("server", ["second", "=postgresql://me:hush@db/texts", "second="])
def test_a_server_that_has_no_name(run: Run, postgres: Server, server: str) -> None:
    made = run("create", "--index", postgres.url(schema="cli_none"), "--server", server)
    assert (made.exit_code, "NAME=URL" in made.output) == (2, True)
    assert "hush" not in made.output


def test_a_folder_is_made_by_its_documents(run: Run, tmp_path: Path) -> None:
    refused = run("create", "--index", tmp_path / "new")
    assert (refused.exit_code, "first documents" in refused.output) == (2, True)
    assert not (tmp_path / "new").exists()
