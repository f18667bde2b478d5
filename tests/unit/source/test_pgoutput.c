/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_pgoutput.c - the decoder with messages made by hand: what it refuses, and that a refused
 * message leaves no trace.  Real messages are decoded in tests/replay.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "walmill/pgoutput.h"

#define LSN "0000000001000020"
#define END "0000000001000050"
#define TIME "0000000000000000"
#define BEGIN "42" LSN TIME "000002f7"
#define COMMIT "4300" LSN END TIME
/* public.t (id integer key, v text), OID 16384 */
#define RELATION "52" "00004000" "7075626c696300" "7400" "64" "0002" \
	"01" "696400" "00000017" "ffffffff" "00" "7600" "00000019" "ffffffff"
#define ROW "0002" "74" "00000001" "37" "74" "00000002" "6869"
#define KEY "0002" "74" "00000001" "37" "6e"
#define INSERT "49" "00004000" "4e" ROW

struct fixture {
	struct wm_pgoutput	*po;
	struct wm_message	 m;
	struct wm_error		 err;
	uint8_t			 bytes[4096];	/* of the last message: m points into them */
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return -1;
	f->po = wm_pgoutput_create();
	*state = f;
	return f->po == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	wm_pgoutput_destroy(f->po);
	free(f);
	return 0;
}

static unsigned
nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The message ends where its memory ends, so that a sanitizer sees each byte read behind it. */
static enum wm_status
decode(struct fixture *f, const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *bytes = n <= sizeof(f->bytes) ? f->bytes + sizeof(f->bytes) - n : NULL;

	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return wm_pgoutput_decode(f->po, bytes, n, &f->m, &f->err);
}

static void
takes(struct fixture *f, const char *hex, enum wm_message_kind kind)
{
	if (decode(f, hex) != WM_OK)
		fail_msg("%s: %s", hex, f->err.text);
	assert_int_equal(f->m.kind, kind);
}

static void
refuses(struct fixture *f, const char *hex, const char *text)
{
	struct wm_message before = f->m;

	if (decode(f, hex) != WM_FATAL)
		fail_msg("taken: %s", hex);
	assert_string_equal(f->err.text, text);
	assert_memory_equal(&before, &f->m, sizeof(before));
}

static void
assert_value(const struct wm_tuple *t, unsigned i, enum wm_value_kind kind, const char *data)
{
	assert_true(i < t->n);
	assert_int_equal(t->values[i].kind, kind);
	assert_int_equal(t->values[i].len, strlen(data));
	assert_memory_equal(t->values[i].data != NULL ? t->values[i].data : "", data, strlen(data));
}

static void
a_transaction_is_decoded(void **state)
{
	struct fixture *f = *state;

	takes(f, BEGIN, WM_MSG_BEGIN);
	assert_true(f->m.lsn == 0x1000020);
	assert_int_equal(f->m.xid, 0x2f7);
	assert_true(f->m.time == 946684800 * WM_SEC);
	takes(f, RELATION, WM_MSG_RELATION);
	assert_string_equal(f->m.relation->schema, "public");
	assert_string_equal(f->m.relation->name, "t");
	assert_int_equal(f->m.relation->identity, WM_IDENTITY_DEFAULT);
	assert_int_equal(f->m.relation->ncolumns, 2);
	assert_true(f->m.relation->columns[0].identity);
	assert_false(f->m.relation->columns[1].identity);
	assert_int_equal(f->m.relation->columns[0].type.class, WM_TYPE_INT);
	assert_ptr_equal(wm_pgoutput_relation(f->po, 16384), f->m.relation);
	takes(f, INSERT, WM_MSG_INSERT);
	assert_ptr_equal(f->m.relation, wm_pgoutput_relation(f->po, 16384));
	assert_null(f->m.before);
	assert_value(f->m.after, 0, WM_VALUE_TEXT, "7");
	assert_value(f->m.after, 1, WM_VALUE_TEXT, "hi");
	assert_ptr_equal(f->m.after->values[1].data, f->bytes + sizeof(f->bytes) - 2);
	takes(f, "55" "00004000" "4b" KEY "4e" "0002" "62" "00000001" "00" "75", WM_MSG_UPDATE);
	assert_false(f->m.before_full);
	assert_value(f->m.before, 0, WM_VALUE_TEXT, "7");
	assert_value(f->m.before, 1, WM_VALUE_NULL, "");
	assert_value(f->m.after, 1, WM_VALUE_UNCHANGED, "");
	assert_int_equal(f->m.after->values[0].kind, WM_VALUE_BINARY);
	assert_int_equal(f->m.after->values[0].len, 1);
	takes(f, "55" "00004000" "4e" ROW, WM_MSG_UPDATE);
	assert_null(f->m.before);
	takes(f, "44" "00004000" "4f" ROW, WM_MSG_DELETE);
	assert_true(f->m.before_full);
	assert_null(f->m.after);
	takes(f, "54" "00000001" "03" "00004000", WM_MSG_TRUNCATE);
	assert_int_equal(f->m.nrelations, 1);
	assert_string_equal(f->m.relations[0]->name, "t");
	assert_true(f->m.cascade && f->m.restart_identity);
	takes(f, COMMIT, WM_MSG_COMMIT);
	assert_true(f->m.lsn == 0x1000020 && f->m.end_lsn == 0x1000050);
}

/* Every message of every kind, cut after each of its bytes, and with a byte too many. */
static void
no_message_may_be_short_or_long(void **state)
{
	static const char *const inside[] = {
		RELATION,
		INSERT,
		"55" "00004000" "4b" KEY "4e" ROW,
		"44" "00004000" "4b" KEY,
		"54" "00000002" "00" "00004000" "00004000",
		"59" "00005000" "7000" "6d6f6f6400",
		"4d" "01" LSN "7000" "00000002" "6869",
		COMMIT,
	};
	struct fixture *f = *state;
	char hex[400];

	for (size_t i = 0; i <= WM_ARRAY_SIZE(inside); i++) {
		const char *whole = i < WM_ARRAY_SIZE(inside) ? inside[i] : BEGIN;

		wm_pgoutput_reset(f->po);
		if (whole[0] != 'B' && i < WM_ARRAY_SIZE(inside)) {
			takes(f, BEGIN, WM_MSG_BEGIN);
			takes(f, RELATION, WM_MSG_RELATION);
		}
		for (size_t n = 2; n < strlen(whole); n += 2) {
			snprintf(hex, sizeof(hex), "%.*s", (int)n, whole);
			if (decode(f, hex) != WM_FATAL)
				fail_msg("taken: %s", hex);
			assert_non_null(strstr(f->err.text, "malformed pgoutput "));
		}
		snprintf(hex, sizeof(hex), "%s00", whole);
		if (decode(f, hex) != WM_FATAL)
			fail_msg("taken: %s", hex);
		/* None of that has changed anything. */
		assert_int_equal(decode(f, whole), WM_OK);
	}
}

static void
unknown_messages_are_refused(void **state)
{
	struct fixture *f = *state;

	refuses(f, "", "empty pgoutput message");
	refuses(f, "00", "unknown pgoutput message 0x00");
	/* Stream Start and its kin belong to later protocol versions. */
	refuses(f, "53" "000002f7" "01", "unknown pgoutput message 0x53");
	refuses(f, "ff", "unknown pgoutput message 0xff");
}

static void
order_is_checked(void **state)
{
	struct fixture *f = *state;

	refuses(f, COMMIT, "pgoutput COMMIT message outside a transaction");
	refuses(f, INSERT, "pgoutput INSERT message outside a transaction");
	refuses(f, "4f" LSN "6f00", "pgoutput ORIGIN message outside a transaction");
	refuses(f,
	    "4d"
	    "01" LSN "7000"
	    "00000000",
	    "pgoutput MESSAGE message: transactional, but outside a transaction");
	takes(f, "4d" "00" LSN "7000" "00000002" "6869", WM_MSG_MESSAGE);
	assert_false(f->m.transactional);
	assert_string_equal(f->m.prefix, "p");
	assert_int_equal(f->m.content_len, 2);
	assert_memory_equal(f->m.content, "hi", 2);
	takes(f, BEGIN, WM_MSG_BEGIN);
	refuses(f, BEGIN, "pgoutput BEGIN message inside a transaction");
	refuses(f, INSERT, "pgoutput INSERT message: relation with OID 16384 was not announced");
	takes(f, "4f" LSN "6f00", WM_MSG_ORIGIN);
	assert_string_equal(f->m.name, "o");
	takes(f, RELATION, WM_MSG_RELATION);
	takes(f, INSERT, WM_MSG_INSERT);
	refuses(f, "4f" LSN "6f00", "pgoutput ORIGIN message after a change");
	refuses(f,
	    "43"
	    "00" END END TIME,
	    "pgoutput COMMIT message: commit LSN 0/1000050 differs from 0/1000020 in BEGIN");
	refuses(f,
	    "43"
	    "00" LSN LSN TIME,
	    "pgoutput COMMIT message: end LSN 0/1000020 is not past commit LSN 0/1000020");
	takes(f, COMMIT, WM_MSG_COMMIT);
	refuses(f, COMMIT, "pgoutput COMMIT message outside a transaction");
}

static void
values_that_cannot_be_are_refused(void **state)
{
	static const char *const inside[] = {
		/* commit flags */
		"43" "01" LSN END TIME,
		/* insert of an old row */
		"49" "00004000" "4b" ROW,
		/* negative length */
		"49" "00004000" "4e" "0002" "74" "ffffffff" "74" "00000002" "6869",
		/* unknown kind of value */
		"49" "00004000" "4e" "0002" "78" "6e",
		/* a value as long as what follows */
		"55" "00004000" "4e" "0002" "74" "00000003" "3737" "6e",
		"55" "00004000" "78" ROW,
		/* two old rows */
		"55" "00004000" "4b" KEY "4b" ROW,
		/* delete of a new row */
		"44" "00004000" "4e" ROW,
		/* unchanged, in an old row */
		"44" "00004000" "4f" "0002" "75" "6e",
		/* truncate flags */
		"54" "00000001" "04" "00004000",
		/* of nothing */
		"54" "00000000" "00",
		/* negative count */
		"54" "ffffffff" "00" "00004000",
		/* count times four overflows */
		"54" "40000001" "00" "00004000",
		/* message flags */
		"4d" "02" LSN "7000" "00000000",
		/* negative length */
		"4d" "01" LSN "7000" "ffffffff",
		/* no OID */
		"59" "00000000" "7000" "6d6f6f6400",
		/* no name */
		"59" "00005000" "7000" "00",
		"52" "00000000" "7000" "7400" "64" "0000",
		"52" "00004000" "7000" "00" "64" "0000",
		/* unknown identity */
		"52" "00004000" "7000" "7400" "78" "0000",
		/* negative count */
		"52" "00004000" "7000" "7400" "64" "ffff",
		/* column flags */
		"52" "00004000" "7000" "7400" "64" "0001" "02" "6100" "00000017" "ffffffff",
		/* no column name */
		"52" "00004000" "7000" "7400" "64" "0001" "01" "00" "00000017" "ffffffff",
		/* no type */
		"52" "00004000" "7000" "7400" "64" "0001" "01" "6100" "00000000" "ffffffff",
	};
	struct fixture *f = *state;

	refuses(f, "42" "0000000000000000" TIME "000002f7", "malformed pgoutput BEGIN message of 21 bytes, at byte 21");
	refuses(f, "42" LSN "7fffffffffffffff" "000002f7", "malformed pgoutput BEGIN message of 21 bytes, at byte 17");
	takes(f, BEGIN, WM_MSG_BEGIN);
	takes(f, RELATION, WM_MSG_RELATION);
	for (size_t i = 0; i < WM_ARRAY_SIZE(inside); i++) {
		if (decode(f, inside[i]) != WM_FATAL)
			fail_msg("taken: %s", inside[i]);
		assert_non_null(strstr(f->err.text, "malformed pgoutput "));
	}
	refuses(f,
	    "49"
	    "00004000"
	    "4e"
	    "0001"
	    "6e",
	    "pgoutput INSERT message: row of 1 columns for relation \"public.t\" of 2");
	refuses(f,
	    "55"
	    "00004000"
	    "4b"
	    "0003"
	    "6e6e6e"
	    "4e" ROW,
	    "pgoutput UPDATE message: row of 3 columns for relation "
	    "\"public.t\" of 2");
	refuses(f,
	    "54"
	    "00000002"
	    "00"
	    "00004000"
	    "00004001",
	    "pgoutput TRUNCATE message: relation with OID 16385 was not "
	    "announced");
	/* The relation in force is still the first one. */
	takes(f, INSERT, WM_MSG_INSERT);
}

static void
a_relation_is_replaced_in_mid_transaction(void **state)
{
	struct fixture *f = *state;

	takes(f, BEGIN, WM_MSG_BEGIN);
	takes(f, RELATION, WM_MSG_RELATION);
	takes(f, INSERT, WM_MSG_INSERT);
	takes(f, "52" "00004000" "00" "753200" "66" "0001" "01" "696400" "00000017" "ffffffff", WM_MSG_RELATION);
	assert_string_equal(f->m.relation->schema, "pg_catalog");
	assert_string_equal(f->m.relation->name, "u2");
	assert_int_equal(f->m.relation->identity, WM_IDENTITY_FULL);
	refuses(f, INSERT, "pgoutput INSERT message: row of 2 columns for relation \"pg_catalog.u2\" of 1");
	takes(f, "49" "00004000" "4e" "0001" "6e", WM_MSG_INSERT);
	assert_int_equal(f->m.after->n, 1);
}

static void
types_that_are_not_built_in_stay_unknown(void **state)
{
	struct fixture *f = *state;

	takes(f, BEGIN, WM_MSG_BEGIN);
	takes(f, "59" "00005000" "7000" "6d6f6f6400", WM_MSG_TYPE);
	assert_int_equal(f->m.type_oid, 0x5000);
	assert_string_equal(f->m.schema, "p");
	assert_string_equal(f->m.name, "mood");
	takes(f, "52" "00004000" "7000" "7400" "6e" "0001" "00" "6d00" "00005000" "00000004", WM_MSG_RELATION);
	assert_int_equal(f->m.relation->columns[0].type.class, WM_TYPE_UNKNOWN);
	assert_int_equal(f->m.relation->columns[0].type.oid, 0x5000);
	assert_int_equal(f->m.relation->columns[0].type.typmod, 4);
}

static void
a_reset_forgets_relations_and_transaction(void **state)
{
	struct fixture *f = *state;

	takes(f, BEGIN, WM_MSG_BEGIN);
	takes(f, RELATION, WM_MSG_RELATION);
	wm_pgoutput_reset(f->po);
	assert_null(wm_pgoutput_relation(f->po, 16384));
	/* A log that is read from its middle begins with relations, outside a transaction. */
	takes(f, RELATION, WM_MSG_RELATION);
	takes(f, BEGIN, WM_MSG_BEGIN);
	takes(f, INSERT, WM_MSG_INSERT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_transaction_is_decoded),
		TEST(no_message_may_be_short_or_long),
		TEST(unknown_messages_are_refused),
		TEST(order_is_checked),
		TEST(values_that_cannot_be_are_refused),
		TEST(a_relation_is_replaced_in_mid_transaction),
		TEST(types_that_are_not_built_in_stay_unknown),
		TEST(a_reset_forgets_relations_and_transaction),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
