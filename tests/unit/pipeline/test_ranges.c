/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_ranges.c - seeders that work at one table: every block once, in whatever order they finish.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <cJSON.h>

#include "internal.h"

#define BLOCKS 1000

struct claim {
	uint32_t from, to;
};

static void
one_seeder(void **state)
{
	struct leaf_progress p = { 0 };
	uint32_t from, to, expected = 0;

	(void)state;
	while (leaf_claim(&p, 250, 100, &from, &to)) {
		assert_int_equal(from, expected);
		leaf_note(&p, from, to);
		expected = to;
	}
	assert_true(p.done);
	assert_int_equal(expected, WM_SEED_TO_END);
	assert_int_equal(p.nahead, 0);
}

static void
an_empty_table(void **state)
{
	struct leaf_progress p = { 0 };
	uint32_t from, to;

	(void)state;
	assert_true(leaf_claim(&p, 0, 100, &from, &to));
	assert_true(from == 0 && to == WM_SEED_TO_END);
	assert_false(leaf_claim(&p, 0, 100, &from, &to));
	assert_false(p.done);
	leaf_note(&p, from, to);
	assert_true(p.done);
}

static void
the_last_range_first(void **state)
{
	struct leaf_progress p = { 0 };
	struct claim c[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(leaf_claim(&p, 30, 10, &c[i].from, &c[i].to));
	leaf_note(&p, c[2].from, c[2].to);
	leaf_note(&p, c[0].from, c[0].to);
	assert_int_equal(p.next, 10);
	assert_int_equal(p.nahead, 1);
	assert_false(p.done);
	leaf_note(&p, c[1].from, c[1].to);
	assert_true(p.done);
}

/* What is done is claimed no more, and what is claimed was not done. */
static void
life(struct leaf_progress *p, bool *done, unsigned workers)
{
	struct claim open[16];
	unsigned n = 0, steps = (unsigned)rand() % 60;

	p->claimed = 0;
	for (unsigned i = 0; i < steps; i++) {
		if (n < workers && rand() % 2 == 0) {
			struct claim *c = &open[n];

			if (!leaf_claim(p, BLOCKS, 1 + (uint32_t)rand() % 40, &c->from, &c->to))
				continue;
			assert_true(c->from < c->to);
			for (uint32_t b = c->from; b < c->to && b <= BLOCKS; b++)
				assert_false(done[b]);
			n++;
		} else if (n > 0) {
			unsigned which = (unsigned)rand() % n;

			leaf_note(p, open[which].from, open[which].to);
			for (uint32_t b = open[which].from; b < open[which].to && b <= BLOCKS; b++)
				done[b] = true;
			open[which] = open[--n];
		}
	}
}

static void
many_seeders_and_many_ends(void **state)
{
	(void)state;
	for (int seed = 0; seed < 300; seed++) {
		struct leaf_progress p = { 0 };
		bool done[BLOCKS + 1] = { false };

		srand((unsigned)seed);
		for (int turn = 0; turn < 1000 && !p.done; turn++)
			life(&p, done, 1 + (unsigned)rand() % 16);
		assert_true(p.done);
		for (int b = 0; b <= BLOCKS; b++)
			assert_true(done[b]);
	}
}

/* What cannot be remembered is read again, never left out. */
static void
more_runs_than_there_is_room_for(void **state)
{
	struct leaf_progress p = { 0 };
	uint32_t from, to;
	bool read[1000] = { false };

	(void)state;
	for (uint32_t b = 1; b < 1000; b += 2) {
		leaf_note(&p, b, b + 1);
		read[b] = true;
	}
	while (leaf_claim(&p, 1000, 10, &from, &to)) {
		for (uint32_t b = from; b < to && b < 1000; b++)
			read[b] = true;
		leaf_note(&p, from, to);
	}
	for (uint32_t b = 0; b < 1000; b++)
		assert_true(read[b]);
}

static struct leaf_progress
read_json(const char *text)
{
	cJSON *json = cJSON_Parse(text);
	struct leaf_progress p = leaf_from_json(json);

	cJSON_Delete(json);
	return p;
}

static void
as_a_bookmark_has_it(void **state)
{
	struct leaf_progress p = read_json("[7,8,100,0,9]");	/* as versions before wrote it */
	cJSON *json;
	char *text;

	(void)state;
	assert_true(p.oid == 7 && p.node == 8 && p.next == 100 && !p.done && p.link == 9 && p.nahead == 0);
	leaf_note(&p, 200, 300);
	leaf_note(&p, 400, WM_SEED_TO_END);
	json = leaf_json(&p);
	text = cJSON_PrintUnformatted(json);
	cJSON_Delete(json);
	assert_string_equal(text, "[7,8,100,0,9,200,300,400,4294967295]");
	p = read_json(text);
	cJSON_free(text);
	assert_int_equal(p.nahead, 2);
	leaf_note(&p, 100, 200);
	assert_int_equal(p.next, 300);
	leaf_note(&p, 300, 400);
	assert_true(p.done);
	assert_true(read_json("[7,8,4294967295,1,0]").done);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_seeder),
		cmocka_unit_test(an_empty_table),
		cmocka_unit_test(the_last_range_first),
		cmocka_unit_test(many_seeders_and_many_ends),
		cmocka_unit_test(more_runs_than_there_is_room_for),
		cmocka_unit_test(as_a_bookmark_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
