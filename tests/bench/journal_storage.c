/* SPDX-License-Identifier: PostgreSQL */
/*
 * journal_storage.c - what could keep the journal: our files, SQLite, LMDB.
 *
 * Each appends the same records, makes them durable every 50 ms, and reads them back.  Printed: seconds until all
 * are durable, CPU seconds of it, seconds to read, bytes written per byte of record.  See docs/adr/0001-journal.md.
 *
 *	journal_storage FOLDER [RECORDS [BYTES]]
 */
#include <inttypes.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "walmill/clock.h"
#include "walmill/journal.h"
#include "walmill/strutil.h"

#define EVERY (50 * WM_MSEC)

static char record[1 << 16];
static uint64_t records = 2000000, size = 120;
static uint64_t checksum;

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "journal_storage: %s failed\n", what);
	exit(1);
}

static double
cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Bytes that this process had written to disks. */
static double
bytes_written(void)
{
	char line[128];
	uint64_t n = 0;
	FILE *f = fopen("/proc/self/io", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "write_bytes:", 12) == 0)
			(void)sscanf(line + 12, "%" SCNu64, &n);
	if (f != NULL)
		fclose(f);
	return (double)n;
}

/* ---- our files ---- */

static struct wm_journal *journal;
static struct wm_error err;

static void
files_open(const char *folder)
{
	struct wm_journal_options o = { .memory = 64U << 20, .folder = folder, .max_bytes = UINT64_MAX };

	must(wm_journal_open(&o, &journal, &err) == WM_OK, err.text);
}

static void
files_append(size_t i)
{
	char commit[26] = { 'C' };

	while (wm_journal_append(journal, WM_RECORD_MESSAGE, 1, record, size, &err) != WM_OK) {
		struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
	}
	if (i + 1 < records)
		return;
	commit[17] = 1;
	must(wm_journal_append(journal, WM_RECORD_MESSAGE, 1, commit, sizeof(commit), &err) == WM_OK, "append");
}

static void
files_sync(bool last)
{
	wm_journal_publish(journal);	/* its own thread does the rest */
	while (last && wm_journal_flush_lsn(journal) == 0) {
		struct timespec ms = { .tv_nsec = 1000000 };

		nanosleep(&ms, NULL);
	}
}

static void
files_read(void)
{
	struct wm_journal_reader *r;
	struct wm_record rec;
	bool found = true;

	must(wm_journal_reader_open(journal, 0, &r, &err) == WM_OK, "reader");
	for (;;) {
		must(wm_journal_read(r, &rec, &found, &err) == WM_OK, err.text);
		if (!found)
			break;
		if (rec.len == size)
			checksum += *(const uint8_t *)rec.data;
		wm_journal_release(r);
	}
	wm_journal_reader_close(r);
	wm_journal_close(journal);
}

/* ---- SQLite ---- */

static sqlite3 *db;
static sqlite3_stmt *insert;

static void
sqlite_open(const char *folder)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/journal.db", folder);

	must(sqlite3_open(path, &db) == SQLITE_OK &&
		sqlite3_exec(db,
		    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE r (i INTEGER PRIMARY KEY, "
		    "b BLOB) STRICT; BEGIN",
		    NULL, NULL, NULL) == SQLITE_OK &&
		sqlite3_prepare_v2(db, "INSERT INTO r VALUES (?1, ?2)", -1, &insert, NULL) ==
		    SQLITE_OK,
	    "SQLite");
}

static void
sqlite_append(size_t i)
{
	sqlite3_bind_int64(insert, 1, (sqlite3_int64)i);
	sqlite3_bind_blob(insert, 2, record, (int)size, SQLITE_STATIC);
	must(sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK, "insert");
}

static void
sqlite_sync(bool last)
{
	must(sqlite3_exec(db, last ? "COMMIT" : "COMMIT; BEGIN", NULL, NULL, NULL) == SQLITE_OK, "commit");
}

static void
sqlite_read(void)
{
	sqlite3_stmt *s;

	must(sqlite3_prepare_v2(db, "SELECT b FROM r ORDER BY i", -1, &s, NULL) == SQLITE_OK, "select");
	while (sqlite3_step(s) == SQLITE_ROW)
		checksum += *(const uint8_t *)sqlite3_column_blob(s, 0);
	sqlite3_finalize(s);
	sqlite3_finalize(insert);
	sqlite3_close(db);
}

/* ---- LMDB ---- */

static MDB_env *env;
static MDB_txn *txn;
static MDB_dbi dbi;

static void
lmdb_begin(void)
{
	must(mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &dbi) == 0, "LMDB");
}

static void
lmdb_open(const char *folder)
{
	must(mdb_env_create(&env) == 0 && mdb_env_set_mapsize(env, (size_t)16 << 30) == 0 &&
	    mdb_env_open(env, folder, 0, 0600) == 0, "LMDB");
	lmdb_begin();
}

static void
lmdb_append(size_t i)
{
	MDB_val k = { sizeof(i), &i }, v = { size, record };

	must(mdb_put(txn, dbi, &k, &v, MDB_APPEND) == 0, "put");
}

static void
lmdb_sync(bool last)
{
	must(mdb_txn_commit(txn) == 0, "commit");
	if (!last)
		lmdb_begin();
}

static void
lmdb_read(void)
{
	MDB_cursor *c;
	MDB_val k, v;

	must(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 && mdb_cursor_open(txn, dbi, &c) == 0, "cursor");
	while (mdb_cursor_get(c, &k, &v, MDB_NEXT) == 0)
		checksum += *(const uint8_t *)v.mv_data;
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	mdb_env_close(env);
}

/* ---- all ---- */

static const struct storage {
	const char	*name;
	void		(*open)(const char *folder);
	void		(*append)(size_t i);
	void		(*sync)(bool last);
	void		(*read)(void);
} storages[] = {
	{ "segment files", files_open, files_append, files_sync, files_read },
	{ "SQLite", sqlite_open, sqlite_append, sqlite_sync, sqlite_read },
	{ "LMDB", lmdb_open, lmdb_append, lmdb_sync, lmdb_read },
};

static void
measure(const struct storage *s, const char *parent)
{
	WM_AUTO(wm_freep) char *folder = wm_asprintf("%s/%s", parent, s->name);
	double cpu, written;
	wm_usec began, durable, synced;

	checksum = 0;
	must(mkdir(folder, 0700) == 0, folder);
	cpu = cpu_seconds();
	written = bytes_written();
	began = synced = wm_clock_mono();
	s->open(folder);
	for (size_t i = 0; i < records; i++) {
		s->append(i);
		if (i % 64 == 0 && wm_clock_mono() - synced > EVERY) {
			s->sync(false);
			synced = wm_clock_mono();
		}
	}
	s->sync(true);
	durable = wm_clock_mono();
	cpu = cpu_seconds() - cpu;
	written = bytes_written() - written;
	s->read();
	must(checksum == records * (uint8_t)record[0], "reading back");
	printf("| %s | %.2f s | %.2f s | %.2f s | %.2f |\n", s->name, (double)(durable - began) / WM_SEC, cpu,
	    (double)(wm_clock_mono() - durable) / WM_SEC, written / (double)(records * size));
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: journal_storage FOLDER [RECORDS [BYTES]]\n");
		return 2;
	}
	must(argc < 3 || wm_parse_u64(argv[2], &records), "a number of records");
	must(argc < 4 || wm_parse_u64(argv[3], &size), "a number of bytes");
	must(size > 26 && size <= sizeof(record), "size: 27 to 65536");
	memset(record, 'X', sizeof(record));
	printf("| storage | until durable | CPU | read back | written / record bytes |\n|---|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof(storages) / sizeof(*storages); i++)
		measure(&storages[i], argv[1]);
	return 0;
}
