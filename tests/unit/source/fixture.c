/* SPDX-License-Identifier: PostgreSQL */
/*
 * fixture.c - a session in front of a journal in memory.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "walmill/source.h"

#define MEMORY (1U << 20)

enum wm_status
fx_open_session(struct fixture *f, wm_lsn start)
{
	const struct wm_waiting_options options = { .folder = f->folder,
		.prepared = f->prepared,
		.identity = f->identity,
		.max_bytes = 10000,
		.start = start,
		.journal = f->journal };

	return wm_waiting_create(&options, &f->w, &f->err);
}

int
fx_setup(void **state)
{
	struct wm_journal_options options = { .memory = MEMORY };
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	*state = f;
	wm_buf_init(&f->got, 1000);
	f->identity = "slot";
	snprintf(f->folder, sizeof(f->folder), "/tmp/wm-waiting-XXXXXX");
	if (mkdtemp(f->folder) == NULL)
		return -1;
	snprintf(f->prepared, sizeof(f->prepared), "%s/prepared/shop", f->folder);
	return wm_journal_open(&options, &f->journal, &f->err) == WM_OK &&
		wm_journal_reader_open(f->journal, 0, &f->reader, &f->err) == WM_OK &&
		fx_open_session(f, 0) == WM_OK ? 0 : -1;
}

int
fx_teardown(void **state)
{
	struct fixture *f = *state;
	char above[60];

	wm_waiting_destroy(f->w);
	wm_journal_reader_close(f->reader);
	wm_journal_close(f->journal);
	wm_buf_free(&f->got);
	if (wm_prepared_delete(f->prepared, &f->err) != WM_OK)
		return -1;
	snprintf(above, sizeof(above), "%s/prepared", f->folder);
	(void)rmdir(above);
	if (rmdir(f->folder) != 0)
		return -1;
	free(f);
	return 0;
}

enum wm_status
fx_take(struct fixture *f, const char *msg, size_t len)
{
	bool taken = false, full = false;
	enum wm_status st = wm_waiting_take(f->w, 5, (const uint8_t *)msg, len, &taken, &f->err);

	if (st == WM_OK && !taken)
		st = wm_waiting_append(f->w, 5, (void *)(uintptr_t)msg, len, &full, &f->err);
	assert_false(full);
	return st;
}

const char *
fx_journal(struct fixture *f)
{
	struct wm_record rec;
	bool found = true, full = false;
	uint64_t changes;

	while (wm_waiting_committing(f->w))
		assert_int_equal(wm_waiting_commit_some(f->w, &changes, &full, &f->err), WM_OK);
	wm_journal_publish(f->journal);
	wm_buf_reset(&f->got);
	for (;;) {
		const char *msg;

		assert_int_equal(wm_journal_read(f->reader, &rec, &found, &f->err), WM_OK);
		if (!found)
			return f->got.data;
		if (rec.kind != WM_RECORD_MESSAGE)
			continue;
		msg = rec.data;
		wm_buf_addc(&f->got, msg[0]);
		if (strchr("RI", msg[0]) != NULL)
			wm_buf_addc(&f->got, msg[rec.len - 1]);
	}
}
