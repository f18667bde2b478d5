/* SPDX-License-Identifier: PostgreSQL */
/*
 * write_paths.c - the ways in which rows could be written to a PostgreSQL table.
 *
 * Each writes the same rows, a transaction a batch, as the postgres target does: BEGIN and the statements in one trip,
 * COMMIT in another.  Printed per row: microseconds of CPU of the backend, of CPU of this program, and of the clock;
 * of several rounds the least.  See docs/adr/0005-postgres-write-path.md.
 *
 *	write_paths URI [ROWS [ROUNDS [SIZE]]]
 */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "walmill/buf.h"
#include "walmill/clock.h"
#include "walmill/strutil.h"

enum { COLUMNS = 5, BUF_MAX = 1 << 30, CHUNK = 64 << 10 };
enum form { TEXT, BINARY };
enum work { NEW, MIXED, GONE, WORKS };

static const char *const works[] = { "new rows", "80 % updates, 20 % new rows", "deletes" };
static const unsigned sizes[] = { 10, 100, 1000, 10000 };

static uint64_t rows = 200000, rounds = 3, only;
static PGconn *pq;
static struct wm_buf params[COLUMNS], data;
static char *sql;	/* of the path at hand */

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "write_paths: %s failed: %s\n", what, PQerrorMessage(pq));
	exit(1);
}

/* ---- what time it takes ---- */

struct spent {
	double backend, program, clock;
};

/* Nanoseconds that the backend has run: finer than the ticks of /proc/PID/stat. */
static double
backend_cpu(void)
{
	char path[64];
	uint64_t ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", PQbackendPID(pq));
	f = fopen(path, "r");
	must(f != NULL && fscanf(f, "%" SCNu64, &ns) == 1, "reading the backend's CPU time (same machine?)");
	fclose(f);
	return (double)ns / 1e3;
}

static struct spent
now(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (struct spent){ .backend = backend_cpu(),
		.program = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
		    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec),
		.clock = (double)wm_clock_mono() };
}

#define ENOUGH (3 * WM_SEC)	/* for one measurement: some ways grow with the table */

/* ---- rows: (id bigint, n int, v text, amount numeric(12,2), at timestamptz) ---- */

static const struct {
	const char	*name, *type;
	uint32_t	 oid;
} columns[COLUMNS] = {
	{ "id", "int8", 20 }, { "n", "int4", 23 }, { "v", "text", 25 }, { "amount", "numeric", 1700 },
	{ "at", "timestamptz", 1184 },
};

/* Rows 1 to `rows` stand there; the others are new.  No key comes twice. */
static uint64_t
key_of(enum work work, uint64_t i)
{
	uint64_t old = 1 + i * UINT64_C(7919) % rows;	/* all over the table, as updates are */

	return work == NEW || (work == MIXED && i % 5 == 0) ? rows + 1 + i : old;
}

static void
put(struct wm_buf *b, uint32_t v, size_t len)
{
	uint32_t wire = len == 2 ? htons((uint16_t)v) : htonl(v);

	wm_buf_add(b, &wire, len);
}

static void
text_of(struct wm_buf *b, unsigned column, uint64_t key)
{
	uint64_t s = key % 86400;

	switch (column) {
	case 0: wm_buf_addf(b, "%" PRIu64, key); break;
	case 1: wm_buf_addf(b, "%" PRIu64, key % 1000); break;
	case 2: wm_buf_addf(b, "%064" PRIx64, key * UINT64_C(0x9E3779B97F4A7C15)); break;
	case 3: wm_buf_addf(b, "%" PRIu64 ".%02" PRIu64, key / 100, key % 100); break;
	default:
		wm_buf_addf(b, "2026-11-21 %02d:%02d:%02d+00", (int)(s / 3600), (int)(s / 60 % 60), (int)(s % 60));
		break;
	}
}

static void
binary_of(struct wm_buf *b, unsigned column, uint64_t key)
{
	uint64_t wide;

	switch (column) {
	case 0:
		wide = htobe64(key);
		wm_buf_add(b, &wide, sizeof(wide));
		break;
	case 1: put(b, (uint32_t)(key % 1000), 4); break;
	case 3:
		/* Digits to the base of 10,000: two before the point, one behind it. */
		put(b, 3, 2);
		put(b, 1, 2);
		put(b, 0, 2);
		put(b, 2, 2);
		put(b, (uint32_t)(key / 1000000), 2);
		put(b, (uint32_t)(key / 100 % 10000), 2);
		put(b, (uint32_t)(key % 100 * 100), 2);
		break;
	case 4:
		wide = htobe64((UINT64_C(848534400) + key % 86400) * 1000000);
		wm_buf_add(b, &wide, sizeof(wide));
		break;
	default: text_of(b, column, key); break;
	}
}

/* The value behind its length. */
static void
counted(struct wm_buf *b, enum form form, unsigned column, uint64_t key)
{
	size_t at = b->len;
	uint32_t wire;

	put(b, 0, 4);
	(form == TEXT ? text_of : binary_of)(b, column, key);
	wire = htonl((uint32_t)(b->len - at - 4));
	memcpy(b->data + at, &wire, 4);
}

/* ---- ways ---- */

struct way {
	const char	*name;
	enum form	 form;
	bool		 in_list;	/* unnest in the SELECT list, not in FROM */
	bool		 conflict;	/* ON CONFLICT */
	unsigned	 works;		/* that it can do, bits */
	void		(*make)(const struct way *w, struct wm_buf *b, enum work work);
	void		(*write)(const struct way *w, enum work work, uint64_t from, uint64_t n);
};

#define ALL (1U << NEW | 1U << MIXED | 1U << GONE)

static void
expect(ExecStatusType wanted)
{
	PGresult *res = PQgetResult(pq);

	must(PQresultStatus(res) == wanted, sql);
	PQclear(res);
}

static void
add_on_conflict(struct wm_buf *b)
{
	wm_buf_adds(b, " ON CONFLICT (id) DO UPDATE SET ");
	for (unsigned i = 1; i < COLUMNS; i++)
		wm_buf_addf(b, "%s%s = EXCLUDED.%s", i > 1 ? ", " : "", columns[i].name, columns[i].name);
}

static void
add_source(const struct way *w, struct wm_buf *b, unsigned n)
{
	wm_buf_adds(b, w->in_list ? " FROM (SELECT " : " FROM unnest(");
	for (unsigned i = 0; i < n; i++) {
		wm_buf_adds(b, i > 0 ? ", " : "");
		wm_buf_addf(b, w->in_list ? "unnest($%u::%s[])" : "$%u::%s[]", i + 1,
		    w->form == TEXT ? "text" : columns[i].type);
		if (w->in_list)
			wm_buf_addf(b, " AS c%u", i);
	}
	wm_buf_adds(b, w->in_list ? ") u" : ") u(");
	for (unsigned i = 0; i < n && !w->in_list; i++)
		wm_buf_addf(b, "%sc%u", i > 0 ? ", " : "", i);
	wm_buf_adds(b, w->in_list ? "" : ")");
}

static void
arrays_make(const struct way *w, struct wm_buf *b, enum work work)
{
	if (work == GONE) {
		wm_buf_addf(b, "DELETE FROM t USING (SELECT c0::int8");
		add_source(w, b, 1);
		wm_buf_adds(b, ") u(c0) WHERE t.id = u.c0");
		return;
	}
	wm_buf_adds(b, "INSERT INTO t SELECT ");
	for (unsigned i = 0; i < COLUMNS; i++)
		wm_buf_addf(b, "%su.c%u::%s", i > 0 ? ", " : "", i, columns[i].type);
	add_source(w, b, COLUMNS);
	if (w->conflict)
		add_on_conflict(b);
}

static void
fill_array(const struct way *w, enum work work, unsigned column, uint64_t from, uint64_t n)
{
	struct wm_buf *b = &params[column];

	wm_buf_reset(b);
	put(b, 1, 4);
	put(b, 0, 4);
	put(b, w->form == TEXT ? 25 : columns[column].oid, 4);
	put(b, (uint32_t)n, 4);
	put(b, 1, 4);
	for (uint64_t i = from; i < from + n; i++)
		counted(b, w->form, column, key_of(work, i));
}

static void
arrays_write(const struct way *w, enum work work, uint64_t from, uint64_t n)
{
	static const int formats[COLUMNS] = { 1, 1, 1, 1, 1 };
	const char *values[COLUMNS];
	int lengths[COLUMNS], many = work == GONE ? 1 : COLUMNS;

	for (int i = 0; i < many; i++) {
		fill_array(w, work, (unsigned)i, from, n);
		values[i] = params[i].data;
		lengths[i] = (int)params[i].len;
	}
	must(PQenterPipelineMode(pq) == 1 && PQsendQueryParams(pq, "BEGIN", 0, NULL, NULL, NULL, NULL, 0) == 1 &&
		PQsendQueryPrepared(pq, "way", many, values, lengths, formats, 0) == 1 && PQpipelineSync(pq) == 1,
	    "sending");
	for (int i = 0; i < 2; i++) {
		expect(PGRES_COMMAND_OK);
		must(PQgetResult(pq) == NULL, "the end of a result");
	}
	expect(PGRES_PIPELINE_SYNC);
	must(PQexitPipelineMode(pq) == 1, "ending the pipeline");
}

static void
fill_text(enum work work, uint64_t from, uint64_t n)
{
	for (uint64_t i = from; i < from + n; i++)
		for (unsigned c = 0; c < (work == GONE ? 1 : COLUMNS); c++) {
			wm_buf_adds(&data, c > 0 ? "\t" : i > from ? "\n" : "");
			text_of(&data, c, key_of(work, i));
		}
	wm_buf_addc(&data, '\n');
}

static void
fill_binary(enum work work, uint64_t from, uint64_t n)
{
	unsigned many = work == GONE ? 1 : COLUMNS;

	wm_buf_add(&data, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
	for (uint64_t i = from; i < from + n; i++) {
		put(&data, many, 2);
		for (unsigned c = 0; c < many; c++)
			counted(&data, BINARY, c, key_of(work, i));
	}
	put(&data, UINT16_MAX, 2);
}

static void
copy_write(const struct way *w, enum work work, uint64_t from, uint64_t n)
{
	PGresult *res;

	wm_buf_reset(&data);
	(w->form == TEXT ? fill_text : fill_binary)(work, from, n);
	must(PQsendQuery(pq, sql) == 1, "sending");
	while ((res = PQgetResult(pq)) != NULL && PQresultStatus(res) == PGRES_COMMAND_OK)
		PQclear(res);
	must(PQresultStatus(res) == PGRES_COPY_IN, "COPY");
	PQclear(res);
	for (size_t at = 0; at < data.len; at += CHUNK)
		must(PQputCopyData(pq, data.data + at,
			 (int)(data.len - at < CHUNK ? data.len - at : CHUNK)) == 1,
		    "COPY");
	must(PQputCopyEnd(pq, NULL) == 1, "COPY");
	while ((res = PQgetResult(pq)) != NULL) {
		must(PQresultStatus(res) == PGRES_COMMAND_OK, "COPY");
		PQclear(res);
	}
}

static void
add_copy(const struct way *w, struct wm_buf *b, const char *table)
{
	wm_buf_addf(b, "BEGIN; COPY %s FROM STDIN%s", table, w->form == BINARY ? " (FORMAT binary)" : "");
}

static void
copy_make(const struct way *w, struct wm_buf *b, enum work work)
{
	(void)work;
	add_copy(w, b, "t");
}

static void
merge_make(const struct way *w, struct wm_buf *b, enum work work)
{
	if (work == GONE) {
		add_copy(w, b, "s(id)");
		wm_buf_adds(b, "; DELETE FROM t USING s WHERE t.id = s.id");
		return;
	}
	add_copy(w, b, "s");
	if (w->conflict) {
		wm_buf_adds(b, "; INSERT INTO t SELECT * FROM s");
		add_on_conflict(b);
		return;
	}
	wm_buf_adds(b, "; UPDATE t SET n = s.n, v = s.v, amount = s.amount, at = s.at FROM s WHERE t.id = s.id;"
		       " INSERT INTO t SELECT * FROM s WHERE NOT EXISTS (SELECT FROM t WHERE t.id = s.id)");
}

static const struct way ways[] = {
	{ "text[] in FROM", TEXT, false, true, ALL, arrays_make, arrays_write },
	{ "text[] in FROM, no ON CONFLICT", TEXT, false, false, 1U << NEW, arrays_make, arrays_write },
	{ "text[] in the SELECT list", TEXT, true, true, ALL, arrays_make, arrays_write },
	{ "text[] in the list, no ON CONFLICT", TEXT, true, false, 1U << NEW, arrays_make, arrays_write },
	{ "typed arrays in FROM", BINARY, false, true, ALL, arrays_make, arrays_write },
	{ "typed arrays in the SELECT list", BINARY, true, true, ALL, arrays_make, arrays_write },
	{ "COPY text", TEXT, false, false, 1U << NEW, copy_make, copy_write },
	{ "COPY binary", BINARY, false, false, 1U << NEW, copy_make, copy_write },
	{ "COPY text, merge", TEXT, false, true, ALL, merge_make, copy_write },
	{ "COPY binary, merge", BINARY, false, true, ALL, merge_make, copy_write },
	{ "COPY text, UPDATE, INSERT", TEXT, false, false, 1U << NEW | 1U << MIXED, merge_make, copy_write },
};

/* ---- all ---- */

static void
run(const char *text)
{
	PGresult *res = PQexec(pq, text);

	must(PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK, text);
	PQclear(res);
}

static void
set_up(void)
{
	WM_AUTO(wm_freep) char *fill =
	    wm_asprintf("INSERT INTO t SELECT i, i %% 1000, repeat(md5(i::text), 2), i * 0.01, "
			"now() FROM generate_series(1, %" PRIu64 ") i; ANALYZE t; CHECKPOINT",
		rows);

	run("DROP TABLE IF EXISTS t, s");
	run("CREATE TABLE t (id bigint PRIMARY KEY, n int, v text, amount numeric(12,2), at timestamptz)"
	    " WITH (autovacuum_enabled = off)");
	run("CREATE TEMPORARY TABLE s (LIKE t) ON COMMIT DELETE ROWS");
	run(fill);
}

static struct spent
measure(const struct way *w, enum work work, unsigned size)
{
	struct wm_buf b;
	struct spent from, to;
	uint64_t done;

	set_up();
	wm_buf_init(&b, BUF_MAX);
	w->make(w, &b, work);
	free(sql);
	sql = wm_buf_steal(&b);
	must(sql != NULL, "memory");
	if (w->write == arrays_write) {
		run("DEALLOCATE ALL");
		PQclear(PQprepare(pq, "way", sql, 0, NULL));
	}
	from = now();
	for (done = 0; done < rows && wm_clock_mono() - (wm_usec)from.clock < ENOUGH; done += size) {
		w->write(w, work, done, rows - done < size ? rows - done : size);
		run("COMMIT");
	}
	to = now();
	done = done < rows ? done : rows;
	return (struct spent){ .backend = (to.backend - from.backend) / (double)done,
		.program = (to.program - from.program) / (double)done,
		.clock = (to.clock - from.clock) / (double)done };
}

static double
least(double a, double b)
{
	return a < b ? a : b;
}

/* Rounds one after the other, so that a busy minute of the machine is nobody's own. */
static void
compare(enum work work, unsigned size)
{
	struct spent best[WM_ARRAY_SIZE(ways)];

	for (uint64_t k = 0; k < rounds; k++)
		for (size_t i = 0; i < WM_ARRAY_SIZE(ways); i++) {
			struct spent s;

			if ((ways[i].works & 1U << work) == 0)
				continue;
			s = measure(&ways[i], work, size);
			best[i] = k == 0 ? s : (struct spent){ least(best[i].backend, s.backend),
				least(best[i].program, s.program), least(best[i].clock, s.clock) };
		}
	printf("\n%s, in batches of %u: microseconds a row\n\n| | backend | program | clock |\n|---|---|---|---|\n",
	    works[work], size);
	for (size_t i = 0; i < WM_ARRAY_SIZE(ways); i++)
		if ((ways[i].works & 1U << work) != 0)
			printf("| %s | %.2f | %.2f | %.2f |\n", ways[i].name, best[i].backend,
			    best[i].program, best[i].clock);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: write_paths URI [ROWS [ROUNDS [SIZE]]]\n");
		return 2;
	}
	must(argc < 3 || wm_parse_u64(argv[2], &rows), "a number of rows");
	must(argc < 4 || wm_parse_u64(argv[3], &rounds), "a number of rounds");
	must(argc < 5 || wm_parse_u64(argv[4], &only), "a size of batches");
	must(rows >= 10000 && rows % 7919 != 0, "rows: at least 10000");
	pq = PQconnectdb(argv[1]);
	must(PQstatus(pq) == CONNECTION_OK, "connecting");
	run("SET client_min_messages = warning; SET synchronous_commit = local");
	for (int i = 0; i < COLUMNS; i++)
		wm_buf_init(&params[i], BUF_MAX);
	wm_buf_init(&data, BUF_MAX);
	for (int work = 0; work < WORKS; work++)
		for (size_t i = 0; i < WM_ARRAY_SIZE(sizes); i++)
			if (only == 0 || only == sizes[i])
				compare((enum work)work, sizes[i]);
	for (int i = 0; i < COLUMNS; i++)
		wm_buf_free(&params[i]);
	wm_buf_free(&data);
	free(sql);
	PQfinish(pq);
	return 0;
}
