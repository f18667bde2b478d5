# SPDX-License-Identifier: PostgreSQL
"""Fixtures of every test that runs the program: one pair of clusters a session, a new database a test."""

import pathlib
import subprocess

import pytest
from walmill_testing import Cluster, Daemon, program, run_walmill
from walmill_testing.postgres import server_version
from walmill_testing.zoho import Zoho


def _cluster():
    cluster = Cluster().start()
    yield cluster
    cluster.destroy()


@pytest.fixture(scope="session")
def pg():
    """The source's cluster; most targets have a database of their own in it."""
    yield from _cluster()


@pytest.fixture(scope="session")
def other_pg():
    """A second cluster, for tests that stop one of the two or mix them up."""
    yield from _cluster()


@pytest.fixture(scope="session")
def pg_version():
    return server_version()


@pytest.fixture
def db(pg):
    """The source's database."""
    database = pg.create_database()
    yield database
    if pg.server is None or pg.server.poll() is not None:
        pg.start()
    database.drop()


@pytest.fixture
def dw(pg):
    """A database for a postgres target."""
    database = pg.create_database()
    yield database
    if pg.server is None or pg.server.poll() is not None:
        pg.start()
    database.drop()


@pytest.fixture(scope="session")
def zoho_server():
    with Zoho() as server:
        yield server


@pytest.fixture
def zoho(zoho_server):
    """A Zoho Analytics server as new; a mistake of its own fails the test."""
    zoho_server.reset()
    yield zoho_server
    assert not zoho_server.state()["failures"]


@pytest.fixture
def walmill():
    """Runs one command of the program to its end."""
    return run_walmill


@pytest.fixture
def daemon(request, db):
    """Makes configured daemons that are not started yet: daemon(rules, targets={...}, settings=...)."""
    made = request.node.walmill_daemons = []

    def make(rules, targets=None, sources=None, settings="", env=None):
        new = Daemon(sources or {"shop": db.uri}, targets or {"lite": "type: sqlite\npath: lite.db"}, rules, settings,
                     env)
        new.source_db = db
        made.append(new)
        return new

    yield make
    found = "\n".join(filter(None, [each.destroy() for each in made]))
    assert not found, found


@pytest.fixture(params=["sqlite", "postgres"])
def start(request, daemon, dw):
    """Starts a daemon with one target, of each type in turn; its end must be clean."""
    running = []

    def run(rules, **options):
        block = "type: sqlite\npath: lite.db" if request.param == "sqlite" else f"type: postgres\nuri: {dw.uri}"
        running.append(daemon(rules, targets={"target": block}, **options).start())
        return running[-1]

    yield run
    for each in running:
        if each.process is not None:
            each.sigterm()


@pytest.fixture
def both(daemon, dw):
    """Targets of both types for one daemon; rules have to name lite or dw."""
    return {"lite": "type: sqlite\npath: lite.db", "dw": f"type: postgres\nuri: {dw.uri}"}


def _sanitized():
    """gcc links a sanitizer's library, clang puts it into the program; either way its names are there."""
    code = pathlib.Path(program()).read_bytes()
    return any(name in code for name in (b"__asan_init", b"__tsan_init", b"__ubsan_handle"))


@pytest.fixture
def no_sanitizer():
    if _sanitized():
        pytest.skip("a sanitizer keeps memory of its own")


def _preloaded(folder, name):
    """A library of tests/lib for LD_PRELOAD."""
    if _sanitized():
        pytest.skip("a sanitizer wants to be the first library")
    library = folder / f"{name}.so"
    code = pathlib.Path(__file__).parent / f"lib/{name}.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, code, "-ldl"], check=True)
    return library


@pytest.fixture(scope="session")
def disk_errors(tmp_path_factory):
    """Makes the journal's disk fail."""
    return _preloaded(tmp_path_factory.mktemp("preload"), "disk_errors")


@pytest.fixture(scope="session")
def clock_jumps(tmp_path_factory):
    """Sets the clock while the program runs."""
    return _preloaded(tmp_path_factory.mktemp("preload"), "clock_jumps")


@pytest.fixture(scope="session")
def full_sockets(tmp_path_factory):
    """Has sockets refuse what they take a moment later."""
    return _preloaded(tmp_path_factory.mktemp("preload"), "full_sockets")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows what its daemons said."""
    outcome = yield
    if outcome.get_result().failed:
        for each in getattr(item, "walmill_daemons", []):
            if each.log_path.exists():
                outcome.get_result().sections.append((f"log of {each.config}", each.log()[-12000:]))
