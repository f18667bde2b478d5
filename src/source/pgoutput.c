/* SPDX-License-Identifier: PostgreSQL */
/*
 * pgoutput.c - decoder of PostgreSQL's pgoutput messages, protocol version 1.
 *
 * One decode function a message reads the bytes and judges nothing but their values: short
 * reads stick in the reader.  What it learns takes effect (relation cache, transaction state)
 * only after wm_pgoutput_decode has found the whole message good.
 *
 * Integers are big-endian, strings end with a NUL.  Layout after the tag byte:
 *	B  int64 commit LSN, int64 time, int32 xid
 *	C  int8 0, int64 commit LSN, int64 end LSN, int64 time
 *	O  int64 LSN at the origin, string name
 *	R  int32 OID, string schema, string name, int8 identity, int16 n,
 *	   n times (int8 1 = key, string name, int32 type OID, int32 typmod)
 *	Y  int32 type OID, string schema, string name
 *	I  int32 OID, 'N' tuple
 *	U  int32 OID, ['K' or 'O' tuple], 'N' tuple
 *	D  int32 OID, 'K' or 'O' tuple
 *	T  int32 n, int8 1 = CASCADE | 2 = RESTART IDENTITY, n times int32 OID
 *	M  int8 1 = transactional, int64 LSN, string prefix, int32 n, n bytes
 * tuple: int16 n, n times one of 'n' (NULL), 'u' (unchanged TOAST),
 *	't' or 'b' with int32 length and the text or binary value.
 */
#include "walmill/pgoutput.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "walmill/reader.h"

#define COLUMNS_MAX 1600		/* PostgreSQL's MaxHeapAttributeNumber */
#define COLUMN_BYTES 11			/* the shortest column of a Relation message */
#define PG_EPOCH 946684800000000LL	/* 2000-01-01, microseconds since 1970 */

/* Where in a transaction the stream is; bits, so that a message names the states it may come in. */
enum state {
	OUTSIDE = 1,
	BEGUN = 2,		/* after Begin, nothing changed yet */
	CHANGING = 4,
	INSIDE = BEGUN | CHANGING,
	ANYWHERE = OUTSIDE | INSIDE,
};

struct entry {
	uint32_t		 oid;		/* key */
	struct wm_relation	*rel;		/* owned */
	UT_hash_handle		 hh;
};

struct tuple {
	struct wm_tuple	 tuple;
	size_t		 size;			/* values allocated */
};

struct wm_pgoutput {
	enum state			 state;
	wm_lsn				 commit_lsn;	/* of the open transaction */
	struct entry			*relations;	/* hash by OID */
	struct tuple			 before, after;	/* reused by every message */
	const struct wm_relation	**truncated;	/* reused */
	size_t				 truncated_size;
	struct wm_relation		*announced;	/* owned until installed */
	bool				 oom;		/* this and problem: of this message */
	char				 problem[160];
};

typedef void decode_fn(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m);

/* The first problem is the cause; later ones follow from it. */
static void WM_PRINTF(2, 3)
problem(struct wm_pgoutput *po, const char *fmt, ...)
{
	va_list ap;

	if (po->problem[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(po->problem, sizeof(po->problem), fmt, ap);
	va_end(ap);
}

static wm_usec
read_time(struct wm_reader *r)
{
	int64_t pg = (int64_t)wm_reader_u64(r);

	if (pg > INT64_MAX - PG_EPOCH) {
		r->bad = true;
		return 0;
	}
	return wm_clock_from_pg(pg);
}

/* A name that cannot be empty. */
static const char *
read_name(struct wm_reader *r)
{
	const char *name = wm_reader_str(r);

	r->bad |= name[0] == '\0';
	return name;
}

/* The server writes "" for its own schema. */
static const char *
read_schema(struct wm_reader *r)
{
	const char *schema = wm_reader_str(r);

	return schema[0] == '\0' ? "pg_catalog" : schema;
}

static void
decode_begin(struct wm_pgoutput *po WM_UNUSED, struct wm_reader *r, struct wm_message *m)
{
	m->lsn = wm_reader_u64(r);
	m->time = read_time(r);
	m->xid = wm_reader_u32(r);
	r->bad |= m->lsn == 0;
}

static void
decode_commit(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	r->bad |= wm_reader_u8(r) != 0;
	m->lsn = wm_reader_u64(r);
	m->end_lsn = wm_reader_u64(r);
	m->time = read_time(r);
	if (r->bad)
		return;
	if (m->lsn != po->commit_lsn)
		problem(po, "commit LSN " WM_LSN_FMT " differs from " WM_LSN_FMT " in BEGIN",
		    WM_LSN_ARGS(m->lsn), WM_LSN_ARGS(po->commit_lsn));
	if (m->end_lsn <= m->lsn)
		problem(po, "end LSN " WM_LSN_FMT " is not past commit LSN " WM_LSN_FMT,
		    WM_LSN_ARGS(m->end_lsn), WM_LSN_ARGS(m->lsn));
}

static void
decode_origin(struct wm_pgoutput *po WM_UNUSED, struct wm_reader *r, struct wm_message *m)
{
	m->lsn = wm_reader_u64(r);
	m->name = read_name(r);
}

static void
read_column(struct wm_pgoutput *po, struct wm_reader *r, struct wm_column *col)
{
	unsigned flags = wm_reader_u8(r);
	const char *name = read_name(r);
	uint32_t oid = wm_reader_u32(r);
	int32_t typmod = (int32_t)wm_reader_u32(r);

	r->bad |= flags > 1 || oid == 0;
	if (r->bad)
		return;
	col->identity = flags == 1;
	if (!wm_type_builtin(oid, typmod, &col->type))
		col->type = (struct wm_type){ .oid = oid, .typmod = typmod };
	col->name = strdup(name);
	po->oom |= col->name == NULL;
}

static void
decode_relation(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	uint32_t oid = wm_reader_u32(r);
	const char *schema = read_schema(r), *name = read_name(r);
	unsigned identity = wm_reader_u8(r), n = wm_reader_u16(r);
	struct wm_relation *rel;

	r->bad |= oid == 0 || memchr("dnfi", (int)identity, 4) == NULL || n > COLUMNS_MAX ||
	    wm_reader_left(r) / COLUMN_BYTES < n;
	if (r->bad)
		return;
	po->announced = rel = calloc(1, sizeof(*rel));
	if (rel == NULL) {
		po->oom = true;
		return;
	}
	rel->oid = oid;
	rel->identity = (enum wm_identity)identity;
	rel->schema = strdup(schema);
	rel->name = strdup(name);
	rel->columns = calloc(n > 0 ? n : 1, sizeof(*rel->columns));
	po->oom |= rel->schema == NULL || rel->name == NULL || rel->columns == NULL;
	if (po->oom)
		return;
	rel->ncolumns = n;
	for (unsigned i = 0; i < n; i++)
		read_column(po, r, &rel->columns[i]);
	m->relation = rel;
}

static void
decode_type(struct wm_pgoutput *po WM_UNUSED, struct wm_reader *r, struct wm_message *m)
{
	m->type_oid = wm_reader_u32(r);
	m->schema = read_schema(r);
	m->name = read_name(r);
	r->bad |= m->type_oid == 0;
}

static const struct wm_relation *
read_relation(struct wm_pgoutput *po, struct wm_reader *r)
{
	uint32_t oid = wm_reader_u32(r);
	const struct wm_relation *rel = r->bad ? NULL : wm_pgoutput_relation(po, oid);

	if (rel == NULL && !r->bad)
		problem(po, "relation with OID %u was not announced", (unsigned)oid);
	return rel;
}

static void
read_value(struct wm_reader *r, struct wm_value *v, bool old)
{
	unsigned kind = wm_reader_u8(r);

	*v = (struct wm_value){ .kind = WM_VALUE_NULL };
	switch (kind) {
	case 'n':
		break;
	case 'u':
		/* An old row is written to the log whole, however large its values are. */
		r->bad |= old;
		v->kind = WM_VALUE_UNCHANGED;
		break;
	case 't':
	case 'b':
		v->kind = kind == 't' ? WM_VALUE_TEXT : WM_VALUE_BINARY;
		v->len = wm_reader_u32(r);
		r->bad |= v->len > INT32_MAX;
		v->data = (const char *)wm_reader_bytes(r, v->len);
		break;
	default:
		r->bad = true;
	}
}

static const struct wm_tuple *
read_tuple(
    struct wm_pgoutput *po, struct wm_reader *r, const struct wm_relation *rel, struct tuple *t)
{
	unsigned n = wm_reader_u16(r);

	if (r->bad || rel == NULL)
		return NULL;
	if (n != rel->ncolumns) {
		problem(po, "row of %u columns for relation \"%s.%s\" of %u", n, rel->schema,
		    rel->name, rel->ncolumns);
		return NULL;
	}
	if (n > t->size) {
		struct wm_value *values = realloc(t->tuple.values, n * sizeof(*values));

		if (values == NULL) {
			po->oom = true;
			return NULL;
		}
		t->tuple.values = values;
		t->size = n;
	}
	t->tuple.n = n;
	for (unsigned i = 0; i < n && !r->bad; i++)
		read_value(r, &t->tuple.values[i], t == &po->before);
	return &t->tuple;
}

static void
decode_insert(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	m->relation = read_relation(po, r);
	r->bad |= wm_reader_u8(r) != 'N';
	m->after = read_tuple(po, r, m->relation, &po->after);
}

static void
decode_update(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	unsigned part;

	m->relation = read_relation(po, r);
	part = wm_reader_u8(r);
	if (part == 'K' || part == 'O') {
		m->before_full = part == 'O';
		m->before = read_tuple(po, r, m->relation, &po->before);
		if (m->before == NULL)
			return;
		part = wm_reader_u8(r);
	}
	r->bad |= part != 'N';
	m->after = read_tuple(po, r, m->relation, &po->after);
}

static void
decode_delete(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	unsigned part;

	m->relation = read_relation(po, r);
	part = wm_reader_u8(r);
	r->bad |= part != 'K' && part != 'O';
	m->before_full = part == 'O';
	m->before = read_tuple(po, r, m->relation, &po->before);
}

static void
decode_truncate(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	size_t n = wm_reader_u32(r);
	unsigned flags = wm_reader_u8(r);

	r->bad |= flags > 3 || n == 0 || n != wm_reader_left(r) / 4;
	if (r->bad)
		return;
	if (n > po->truncated_size) {
		const struct wm_relation **list =
		    realloc(po->truncated, n * sizeof(const struct wm_relation *));

		if (list == NULL) {
			po->oom = true;
			return;
		}
		po->truncated = list;
		po->truncated_size = n;
	}
	for (size_t i = 0; i < n; i++)
		po->truncated[i] = read_relation(po, r);
	m->nrelations = (unsigned)n;
	m->relations = po->truncated;
	m->cascade = (flags & 1) != 0;
	m->restart_identity = (flags & 2) != 0;
}

static void
decode_message(struct wm_pgoutput *po, struct wm_reader *r, struct wm_message *m)
{
	unsigned flags = wm_reader_u8(r);

	r->bad |= flags > 1;
	m->transactional = flags == 1;
	m->lsn = wm_reader_u64(r);
	m->prefix = wm_reader_str(r);
	m->content_len = wm_reader_u32(r);
	m->content = wm_reader_bytes(r, m->content_len);
	if (!r->bad && m->transactional && po->state == OUTSIDE)
		problem(po, "transactional, but outside a transaction");
}

/*
 * Relation and Type messages change no data and are taken anywhere: a log that is read again
 * from its middle begins with the relations in force.
 */
static const struct {
	const char		*name;
	enum wm_message_kind	 kind;
	decode_fn		*decode;
	unsigned		 allowed;	/* enum state bits */
	enum state		 next;		/* 0: as it is */
} messages[UCHAR_MAX + 1] = {
	['B'] = { "BEGIN", WM_MSG_BEGIN, decode_begin, OUTSIDE, BEGUN },
	['C'] = { "COMMIT", WM_MSG_COMMIT, decode_commit, INSIDE, OUTSIDE },
	['O'] = { "ORIGIN", WM_MSG_ORIGIN, decode_origin, BEGUN, 0 },
	['R'] = { "RELATION", WM_MSG_RELATION, decode_relation, ANYWHERE, 0 },
	['Y'] = { "TYPE", WM_MSG_TYPE, decode_type, ANYWHERE, 0 },
	['I'] = { "INSERT", WM_MSG_INSERT, decode_insert, INSIDE, CHANGING },
	['U'] = { "UPDATE", WM_MSG_UPDATE, decode_update, INSIDE, CHANGING },
	['D'] = { "DELETE", WM_MSG_DELETE, decode_delete, INSIDE, CHANGING },
	['T'] = { "TRUNCATE", WM_MSG_TRUNCATE, decode_truncate, INSIDE, CHANGING },
	['M'] = { "MESSAGE", WM_MSG_MESSAGE, decode_message, ANYWHERE, 0 },
};

struct wm_pgoutput *
wm_pgoutput_create(void)
{
	struct wm_pgoutput *po = calloc(1, sizeof(*po));

	if (po != NULL)
		po->state = OUTSIDE;
	return po;
}

void
wm_pgoutput_reset(struct wm_pgoutput *po)
{
	struct entry *e, *tmp;

	HASH_ITER(hh, po->relations, e, tmp) {
		HASH_DEL(po->relations, e);
		wm_relation_free(e->rel);
		free(e);
	}
	po->state = OUTSIDE;
	po->commit_lsn = 0;
}

void
wm_pgoutput_destroy(struct wm_pgoutput *po)
{
	if (po == NULL)
		return;
	wm_pgoutput_reset(po);
	free(po->before.tuple.values);
	free(po->after.tuple.values);
	free(po->truncated);
	free(po);
}

static struct entry *
find(const struct wm_pgoutput *po, uint32_t oid)
{
	struct entry *e;

	HASH_FIND(hh, po->relations, &oid, sizeof(oid), e);
	return e;
}

const struct wm_relation *
wm_pgoutput_relation(const struct wm_pgoutput *po, uint32_t oid)
{
	const struct entry *e = find(po, oid);

	return e == NULL ? NULL : e->rel;
}

/* Takes the announced relation over; false when memory is out. */
static bool
install(struct wm_pgoutput *po)
{
	struct wm_relation *rel = po->announced;
	struct entry *e = find(po, rel->oid);

	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return false;
		e->oid = rel->oid;
		HASH_ADD(hh, po->relations, oid, sizeof(e->oid), e);
		if (e->hh.tbl == NULL) {
			free(e);
			return false;
		}
	}
	wm_relation_free(e->rel);
	e->rel = rel;
	po->announced = NULL;
	return true;
}

/* Whether the message that tag announces may come now and reads well. */
static enum wm_status
read_message(struct wm_pgoutput *po, struct wm_reader *r, size_t len, unsigned tag,
    struct wm_message *m, struct wm_error *err)
{
	const char *name = messages[tag].name;

	if ((messages[tag].allowed & po->state) == 0)
		return wm_fail(err, WM_FATAL, "pgoutput %s message %s", name,
		    po->state == OUTSIDE ? "outside a transaction" :
		    tag == 'B' ? "inside a transaction" : "after a change");
	messages[tag].decode(po, r, m);
	if (po->oom)
		return wm_oom(err, "a pgoutput message");
	if (po->problem[0] != '\0')
		return wm_fail(err, WM_FATAL, "pgoutput %s message: %s", name, po->problem);
	if (r->bad)
		return wm_fail(err, WM_FATAL,
		    "malformed pgoutput %s message of %zu bytes, at byte %zu", name, len,
		    len - wm_reader_left(r));
	if (r->p != r->end)
		return wm_fail(err, WM_FATAL, "pgoutput %s message of %zu bytes is %zu too long",
		    name, len, wm_reader_left(r));
	return WM_OK;
}

enum wm_status
wm_pgoutput_decode(struct wm_pgoutput *po, const void *msg, size_t len, struct wm_message *ret,
    struct wm_error *err)
{
	const uint8_t *bytes = msg;
	struct wm_reader r = { .p = bytes, .end = bytes + len };
	struct wm_message m = { 0 };
	enum wm_status status;
	unsigned tag;

	if (len == 0)
		return wm_fail(err, WM_FATAL, "empty pgoutput message");
	tag = wm_reader_u8(&r);
	if (messages[tag].decode == NULL)
		return wm_fail(err, WM_FATAL, "unknown pgoutput message 0x%02x", tag);
	m.kind = messages[tag].kind;
	po->oom = false;
	po->problem[0] = '\0';
	status = read_message(po, &r, len, tag, &m, err);
	if (status == WM_OK && po->announced != NULL && !install(po))
		status = wm_oom(err, "a pgoutput message");
	wm_relation_free(po->announced);
	po->announced = NULL;
	if (status != WM_OK)
		return status;
	if (tag == 'B')
		po->commit_lsn = m.lsn;
	if (messages[tag].next != 0)
		po->state = messages[tag].next;
	*ret = m;
	return WM_OK;
}
