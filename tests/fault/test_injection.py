# SPDX-License-Identifier: PostgreSQL
"""The daemon is killed at every point of walmill/fault.h, under a load that leads there, then started again.

Needs a walmill that was configured with --enable-fault-injection: `make fault` builds one.
"""

import os
import pathlib
import re
import time

import pytest
import scenarios as on
from matrix import COLUMNS, Cell, Matrix
from walmill_testing import run_walmill, wait_until
from walmill_testing.compare import differences
from walmill_testing.postgres import server_version
from walmill_testing.zoho_view import ZohoView

SOURCE = pathlib.Path(__file__).resolve().parents[2]
HEADER = (SOURCE / "include/walmill/fault.h").read_text()
POINTS = dict(re.findall(r'^\tX\((\w+), "(.*)"\)', HEADER, re.MULTILINE))

# Where a point is reached, and at which pass of it the daemon dies.
PLAN = {
    "journal_file_created": [(on.first_start, 1), (on.stream, 2)],
    "journal_head_written": [(on.first_start, 1), (on.stream, 2)],
    "journal_frame_begun": [(on.first_start, 1), (on.stream, 3)],
    "journal_frame_written": [(on.first_start, 1), (on.stream, 3)],
    "journal_file_synced": [(on.first_start, 1), (on.stream, 3)],
    "journal_folder_synced": [(on.first_start, 1), (on.stream, 2)],
    "journal_file_full": [(on.stream, 1), (on.stream, 2)],
    "journal_trimmed": [(on.stream, 1), (on.stream, 2)],
    "journal_end_cut": [(on.torn_journal, 1)],
    "journal_headless_deleted": [(on.torn_journal, 1)],
    "journal_recovered": [(on.first_start, 1), (on.torn_journal, 1)],
    "journal_dropped": [(on.first_start, 1), (on.short_journal, 1), (on.slot_lost, 1), (on.slot_lost, 2)],
    "journal_restarted": [(on.first_start, 1), (on.short_journal, 1), (on.slot_lost, 1), (on.slot_lost, 2)],
    "journal_mend_deleted": [(on.disk_error, 1)],
    "journal_mended": [(on.disk_error, 1), (on.disk_error, 2)],
    "journal_delete_step": [(on.teardown, 1), (on.unused_journal, 1)],
    "journal_deleted": [(on.teardown, 1), (on.unused_journal, 1), (on.fewer_slots, 1)],
    "state_locked": [(on.first_start, 1), (on.teardown, 1)],
    "state_file_made": [(on.first_start, 1)],
    "state_upgraded": [(on.first_start, 1), (on.first_start, 2)],
    "state_source_before": [(on.first_start, 1), (on.first_start, 2), (on.slot_lost, 1)],
    "state_source_stored": [(on.first_start, 1), (on.first_start, 2), (on.slot_lost, 1),
                          (on.fewer_slots, 1), (on.fewer_slots, 2), (on.more_slots, 1), (on.more_slots, 3)],
    "state_progress_before": [(on.first_start, 1), (on.stream, 3)],
    "state_progress_stored": [(on.first_start, 1), (on.stream, 3)],
    "state_reached_before": [(on.first_start, 1)],
    "state_reached_stored": [(on.first_start, 1), (on.slot_lost, 1)],
    "state_target_forgotten": [(on.target_left, 1)],
    "state_gaps_before": [(on.gap, 1)],
    "state_gaps_stored": [(on.gap, 1)],
    "state_gaps_cleared": [(on.gap, 1)],
    "state_mask_key_stored": [(on.first_start, 1)],
    "state_forget_before": [(on.teardown, 1), (on.slot_lost, 1), (on.fewer_slots, 1), (on.fewer_slots, 3)],
    "state_forgotten": [(on.teardown, 1), (on.slot_lost, 1),
                      (on.fewer_slots, 1), (on.fewer_slots, 2), (on.fewer_slots, 3), (on.fewer_slots, 4)],
    "state_seeded_before": [(on.slot_lost, 1)],
    "state_seeded": [(on.slot_lost, 1)],
    "letter_before": [(on.letters, 1), (on.letters, 2)],
    "letter_stored": [(on.letters, 1), (on.letters, 2)],
    "letters_change_before": [(on.letters, 1), (on.letters, 2), (on.letters, 3)],
    "letters_changed": [(on.letters, 1), (on.letters, 2), (on.letters, 3)],
    "letters_of_view_dropped": [(on.first_start, 1), (on.second_life, 1)],
    "letter_tried": [(on.letters, 1)],
    "receipts_before": [(on.first_start, 1), (on.stream, 3)],
    "receipts_stored": [(on.first_start, 1), (on.stream, 3)],
    "receipts_trimmed": [(on.stream, 1)],
    "receipts_forgotten": [(on.broken_off, 1)],
    "receipt_settled": [(on.died_before("apply_before:2", on.stream), 1), (on.died_before("seed_batch_committed:4"), 1)],
    "slot_before": [(on.first_start, 1), (on.slot_lost, 1)],
    "slot_created": [(on.first_start, 1), (on.died_before("slot_created:1"), 1), (on.slot_lost, 1),
                   (on.more_slots, 1), (on.more_slots, 2)],
    "slot_dropped": [(on.died_before("slot_created:1"), 1), (on.teardown, 1), (on.fewer_slots, 1), (on.fewer_slots, 2)],
    "publication_before": [(on.first_start, 1), (on.first_start, 2), (on.new_table, 1), (on.gap, 1)],
    "publication_changed": [(on.first_start, 1), (on.first_start, 2), (on.new_table, 1), (on.gap, 1),
                          (on.more_slots, 1), (on.more_slots, 3), (on.fewer_slots, 1)],
    "publication_dropped": [(on.teardown, 1), (on.teardown, 2),
                          (on.fewer_slots, 1), (on.fewer_slots, 2), (on.fewer_slots, 4)],
    "feedback_before": [(on.first_start, 1), (on.stream, 3)],
    "feedback_sent": [(on.first_start, 1), (on.stream, 3)],
    "prepared_written": [(on.prepared, 1), (on.prepared, 3)],
    "prepared_synced": [(on.prepared, 1), (on.prepared, 2)],
    "prepared_named": [(on.prepared, 1), (on.prepared, 2)],
    "prepared_kept": [(on.prepared, 1), (on.prepared, 2)],
    "prepared_done": [(on.prepared, 1), (on.prepared, 2)],
    "prepared_removed": [(on.prepared, 1), (on.prepared, 2)],
    "sqlite_bookmarks_made": [(on.first_start, 1)],
    "sqlite_begun": [(on.first_start, 1), (on.stream, 2)],
    "sqlite_shaped": [(on.first_start, 1), (on.new_table, 1)],
    "sqlite_written": [(on.first_start, 2), (on.stream, 1), (on.stream, 5), (on.letters, 1)],
    "sqlite_commit_before": [(on.first_start, 3), (on.stream, 1), (on.stream, 4), (on.gap, 2)],
    "sqlite_committed": [(on.first_start, 3), (on.stream, 1), (on.stream, 4), (on.gap, 2)],
    "postgres_bookmarks_made": [(on.first_start, 1)],
    "postgres_begun": [(on.first_start, 1)],
    "postgres_shaped": [(on.first_start, 1), (on.new_table, 1)],
    "postgres_copied": [(on.many_rows, 1), (on.many_rows, 3)],
    "postgres_keyed": [(on.first_start, 1)],
    "postgres_sent": [(on.first_start, 4), (on.stream, 1), (on.stream, 2), (on.stream, 3), (on.stream, 4)],
    "postgres_written": [(on.first_start, 2), (on.stream, 1), (on.stream, 5), (on.letters, 1)],
    "postgres_shared": [(on.shared_rows, 1), (on.shared_rows, 2)],
    "postgres_commit_before": [(on.first_start, 3), (on.stream, 1), (on.stream, 4), (on.gap, 2)],
    "postgres_committed": [(on.first_start, 3), (on.stream, 1), (on.stream, 4), (on.gap, 2)],
    "apply_before": [(on.first_start, 1), (on.stream, 1), (on.stream, 4), (on.letters, 1), (on.letters, 2)],
    "apply_committed": [(on.first_start, 1), (on.stream, 1), (on.stream, 4), (on.letters, 1), (on.letters, 2),
                      (on.more_slots, 1), (on.more_slots, 2), (on.fewer_slots, 1), (on.fewer_slots, 2)],
    "ahead_written": [(on.stream, 1), (on.stream, 3)],
    "apply_done": [(on.stream, 1), (on.stream, 4), (on.letters, 2)],
    "seed_view_emptied": [(on.second_life, 1), (on.slot_lost, 1), (on.more_slots, 1), (on.fewer_slots, 1)],
    "seed_bare": [(on.first_start, 1)],
    "seed_keyed": [(on.first_start, 1)],
    "seed_batch_before": [(on.first_start, 1), (on.first_start, 4), (on.new_table, 1)],
    "seed_batch_committed": [(on.first_start, 1), (on.first_start, 4), (on.new_table, 1), (on.slot_lost, 2),
                           (on.more_slots, 2), (on.fewer_slots, 2)],
    "seed_table_done": [(on.first_start, 1), (on.new_table, 1), (on.slot_lost, 1)],
    "retry_committed": [(on.letters, 1)],
    "retry_done": [(on.letters, 1)],
    "teardown_at_source": [(on.teardown, 1)],
    "teardown_journal": [(on.teardown, 1)],
}

# The same where the target is Zoho Analytics, which has scenarios of its own.
ZOHO = {
    "zoho_view_written": [1, 2, 4],
    "zoho_job_noted": [1],
    "zoho_job_begun": [1],
    "zoho_job_kept": [1],
    "zoho_batch_sent": [1, 3],
    "zoho_job_ended": [1],
    "seed_staged": [1],
    "gather_part_written": [1, 3],
}

# And where the view is filled anew while the stream goes on: the rule is held.
ZOHO_LATE = ["zoho_job_begun", "zoho_job_kept", "zoho_batch_sent", "zoho_job_ended", "seed_staged", "seed_table_done"]

MATRIX = Matrix("Points at which the daemon kills itself", "The points are those of `include/walmill/fault.h`, in a "
                "build with `--enable-fault-injection`; each is reached by a load of its own.", POINTS)


def applies(point, scenario, column):
    off = column.endswith("off")
    if scenario is on.prepared and server_version() < 15:
        return False
    if point.startswith(("sqlite_", "postgres_")) and not point.startswith(column.split(",")[0]):
        return False
    # Views are made without their key in one target only.
    if point in ("seed_bare", "seed_keyed") and not column.startswith("postgres"):
        return False
    if scenario is on.unused_journal:
        return off
    return not off or not point.startswith("journal_")


def cells():
    if not os.environ.get("WM_FAULT_PAGE") and not os.environ.get("WM_FAULT_ALL"):
        yield pytest.param(None, None, 0, marks=pytest.mark.skip(reason="takes minutes: `make fault`, or WM_FAULT_ALL=1"))
        return
    for point, plans in PLAN.items():
        for scenario, number in plans:
            for column in COLUMNS:
                if applies(point, scenario, column):
                    yield pytest.param(Cell(MATRIX, point, column), scenario, number,
                                       id=f"{point}:{number}-{scenario.__name__}-{column.replace(', ', '-').replace(' ', '-')}")


def test_every_point_is_in_the_source_and_in_the_plan():
    passed = [name for path in sorted((SOURCE / "src").rglob("*.c"))
              for name in re.findall(r"\bWM_FAULT\((\w+)\)", path.read_text())]
    assert sorted(passed) == sorted(POINTS) == sorted([*PLAN, *ZOHO])


@pytest.fixture(scope="session")
def points():
    """As the program lists them."""
    done = run_walmill("--version", env={"WALMILL_FAULT_AT": "list"})
    if done.stdout.startswith("walmill "):
        pytest.skip("this walmill has no points to be killed at; `make fault` builds one that has "
                    "(./configure --enable-fault-injection)")
    return dict(line.split("\t") for line in done.stdout.splitlines())


def test_the_program_has_them(points):
    assert points == POINTS


def test_a_mistake_is_refused(points):
    assert points
    for wrong, why in (("no_such_point:1", "there is no such point"), ("", "there is no such point"),
                       ("journal_trimed:1", "did you mean \"journal_trimmed\""), ("journal_trimmed", "from 1"),
                       ("journal_trimmed:0", "from 1"), ("journal_trimmed:x", "from 1")):
        assert why in run_walmill("--version", expect=2, env={"WALMILL_FAULT_AT": wrong}).stderr, wrong


@pytest.mark.parametrize("cell, scenario, number", cells())
def test_killed_at(request, cell, scenario, number, points, db, daemon, block):
    assert cell.row in points
    s = on.Stage(db, daemon, block, cell.journal, lambda: request.getfixturevalue("disk_errors"))
    for _ in scenario(s, f"{cell.row}:{number}"):
        if s.died():
            break
    wait_until(s.died, f"{cell.row} is passed {number} times by `{scenario.__name__}`", 30)
    s.again()
    s.take_all()
    s.same()
    db.execute("INSERT INTO t VALUES (-1, 1, 'after it'); DELETE FROM t WHERE id = 1")
    s.same()
    s.d.sigterm()


def keep_fewer_rows(made, db):
    """The rule does, from the next start on."""
    made.start()
    made.wait()
    db.execute("DELETE FROM t WHERE id > 850")
    made.wait()
    made.sigterm()
    made.write_rules("- {table: public.t, batch: {rows: 50}, seed: {batch_rows: 200}}")


def lose_slot(made, db):
    """The view is filled anew then, by a batch import."""
    made.sources["shop"] = f"uri: {db.uri}\non_slot_lost: seed"
    made.write_config()
    made.start()
    made.wait()
    made.sigterm()
    db.execute("SELECT pg_drop_replication_slot('walmill_shop')")


@pytest.mark.parametrize("point, number, late", [
    *((point, number, False) for point, plan in ZOHO.items() for number in plan), *((p, 1, True) for p in ZOHO_LATE)])
def test_killed_at_with_zoho(point, number, late, points, db, daemon, zoho):
    assert point in points
    # Of a batch import that is begun and not known of, nothing can be said to Zoho: it ends by itself.
    zoho.set(rate_bulk=0, rate_dml=0, rate_overall=0, batch_open_seconds=2)
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, v text); INSERT INTO t SELECT i, i, 'v' FROM generate_series(1, 900) i;"
               "CREATE TABLE u (LIKE t INCLUDING ALL); INSERT INTO u SELECT * FROM t")
    block = zoho.target(flush_interval="100ms", flush_interval_max="200ms", job_max="5KiB", poll_interval="100ms",
                        imports_per_minute=1000, row_calls_per_minute=1000, calls_per_minute=1000)
    rules = "- {table: public.t, batch: {rows: 50}}"
    if point == "gather_part_written":
        # Few units are left: the changes of the other wait.
        zoho.use_units(95_000)
        rules = "- {table: public.t, priority: high}\n- {table: public.u, priority: low, batch: {rows: 500}}"
    if late:
        rules = "- {table: public.t, batch: {rows: 50}, on_delete: ignore}"
    made = daemon(rules, targets={"zoho": block})
    if late:
        keep_fewer_rows(made, db)
    elif point not in ("zoho_view_written", "gather_part_written"):
        lose_slot(made, db)
    made.env = {"WALMILL_FAULT_AT": f"{point}:{number}"}
    made.launch()
    for turn in range(1000):
        if made.process.poll() is not None:
            break
        db.execute(f"UPDATE t SET n = {turn} WHERE id % 50 = 0; DELETE FROM t WHERE id = {turn};"
                   f"UPDATE u SET n = {turn} WHERE id % 50 = 0; DELETE FROM u WHERE id = {turn}")
        time.sleep(0.01)    # paces the load
    wait_until(lambda: made.process.poll() is not None, f"{point} is passed {number} times", 30)
    made.process = None
    made.env = {}
    made.start()
    made.wait(120)
    for table in ("t", "u") if "public.u" in rules else ("t",):
        found = differences(db.main, table, ZohoView(zoho))
        assert not found, found
    made.sigterm()
