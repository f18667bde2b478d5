# SPDX-License-Identifier: PostgreSQL
"""What PostgreSQL's own decoding cannot do: nobody who follows such a source could."""

import psycopg2

from .wait import wait_until


def cannot_decode(daemon):
    """What the server says, when it cannot read its own WAL (at times of a table rewritten in a subtransaction)."""
    if "could not map filenode" not in daemon.log():
        return None
    if daemon.process is not None:
        daemon.sigkill()
    try:
        wait_until(lambda: not daemon.source_db.slot()["active"], "the slot is free")
        daemon.source_db.rows("SELECT count(*) FROM pg_logical_slot_peek_binary_changes('walmill_shop', NULL, NULL, "
                              "'proto_version', '1', 'publication_names', 'walmill_shop')")
    except psycopg2.Error as failure:
        if "could not map filenode" in str(failure):
            return f"this PostgreSQL cannot decode its own WAL: {str(failure).splitlines()[0]}"
    return None
