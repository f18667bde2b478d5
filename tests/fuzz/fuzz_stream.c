/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_stream.c - fuzz target of streamed and prepared transactions: a session of protocol 3, each message behind its
 * length in two bytes.
 *
 * Besides not crashing: what a commit puts into the journal is one whole transaction, begin to commit, of which nothing
 * is left out or added in between that a decoder of protocol 1 would take for a boundary; and what is refused says why.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "source/waiting.h"
#include "walmill/pgoutput.h"
#include "walmill/reader.h"
#include "walmill/source.h"

#define MEMORY (4U << 20)	/* more than one input can fill */

/* What a commit has put there. */
static void
check_transaction(struct wm_journal_reader *reader, struct wm_pgoutput *po)
{
	struct wm_record rec = { 0 };
	struct wm_error err;
	size_t n = 0;
	bool found = true, ended = false;

	for (;;) {
		struct wm_message m;
		char tag;

		require(wm_journal_read(reader, &rec, &found, &err) == WM_OK);
		if (!found)
			break;
		if (rec.kind != WM_RECORD_MESSAGE)
			continue;
		require(rec.len > 0 && !ended);
		tag = *(const char *)rec.data;
		require((n == 0) == (tag == 'B'));
		require(tag == 'B' || tag == 'C' || memchr("RYIUDTM", tag, 7) != NULL);
		ended = tag == 'C';
		n++;
		/* A message that is none is for the decoder to refuse. */
		(void)!wm_pgoutput_decode(po, rec.data, rec.len, &m, &err);
	}
	require(n >= 2 && ended);
	wm_journal_mark(reader);
}

static void
commit(struct wm_waiting *s, struct wm_journal *journal, struct wm_journal_reader *reader, struct wm_pgoutput *po)
{
	while (wm_waiting_committing(s)) {
		struct wm_error err;
		uint64_t changes;
		bool full = false;

		require(wm_waiting_commit_some(s, &changes, &full, &err) == WM_OK && !full);
	}
	wm_journal_publish(journal);
	check_transaction(reader, po);
}

static enum wm_status
create(const char *prepared, struct wm_journal *journal, struct wm_waiting **ret, struct wm_error *err)
{
	const struct wm_waiting_options options = { .folder = "/tmp",
		.prepared = prepared,
		.identity = "",
		.max_bytes = UINT64_MAX,
		.journal = journal };

	return wm_waiting_create(&options, ret, err);
}

/* What is kept is there in the next session. */
static void
check_kept(struct wm_waiting *s, const char *prepared, struct wm_journal *journal)
{
	struct wm_error err;
	size_t kept = wm_waiting_prepared(s);

	require(wm_waiting_sync(s, &err) == WM_OK && wm_waiting_settle(s, &err) == WM_OK);
	wm_waiting_destroy(s);
	require(create(prepared, journal, &s, &err) == WM_OK && wm_waiting_prepared(s) >= kept);
	wm_waiting_destroy(s);
	require(wm_prepared_delete(prepared, &err) == WM_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wm_reader r = { .p = data, .end = data + size };
	struct wm_journal_options options = { .memory = MEMORY };
	struct wm_pgoutput *po = wm_pgoutput_create();
	struct wm_journal_reader *reader = NULL;
	struct wm_journal *journal = NULL;
	struct wm_waiting *s = NULL;
	struct wm_error err;
	char prepared[40];

	snprintf(prepared, sizeof(prepared), "/tmp/wm-fuzz-%ld", (long)getpid());
	require(po != NULL && wm_journal_open(&options, &journal, &err) == WM_OK &&
	    wm_journal_reader_open(journal, 0, &reader, &err) == WM_OK &&
	    create(prepared, journal, &s, &err) == WM_OK);
	while (wm_reader_left(&r) >= 2) {
		size_t len = wm_reader_u16(&r);
		bool taken = false;
		const uint8_t *msg;

		if (len > wm_reader_left(&r))
			len = wm_reader_left(&r);
		msg = wm_reader_bytes(&r, len);
		if (len == 0)
			continue;
		err.text[0] = '\0';
		if (wm_waiting_take(s, 1, msg, len, &taken, &err) != WM_OK) {
			require(err.status == WM_FATAL && err.text[0] != '\0');
			break;
		}
		if (wm_waiting_committing(s))
			commit(s, journal, reader, po);
	}
	check_kept(s, prepared, journal);
	wm_journal_reader_close(reader);
	wm_journal_close(journal);
	wm_pgoutput_destroy(po);
	return 0;
}
