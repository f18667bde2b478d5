/* SPDX-License-Identifier: PostgreSQL */
/*
 * cases_update.c - rows of which some values are unknown (unchanged TOAST), and changes of keys.
 */
#include "conformance.h"

#include <string.h>

/* Rows 1 to 5 as "1|a1|b1|c1". */
static const struct wm_view *
filled_table(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("id", "integer"), COLUMN("a", "text"),
	    COLUMN("b", "text"), COLUMN("c", "text")));
	struct batch b = make_batch(f);

	start(f);
	ensure(f, view);
	add_view(&b, view);
	add_upsert(&b, VALUES("1", "a1", "b1", "c1"));
	add_upsert(&b, VALUES("2", "a2", "b2", "c2"));
	add_upsert(&b, VALUES("3", "a3", "b3", "c3"));
	add_upsert(&b, VALUES("4", "a4", "b4", "c4"));
	add_upsert(&b, VALUES("5", "a5", "b5", "c5"));
	write_and_commit(f, &b);
	return view;
}

static struct batch
batch_for(struct fixture *f, const struct wm_view *view)
{
	struct batch b = make_batch(f);

	add_view(&b, view);
	return b;
}

static void
unchanged_values_stay(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("2", "new", UNCHANGED, UNCHANGED), NULL);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    "1|a1|b1|c1\n2|new|b2|c2\n3|a3|b3|c3\n4|a4|b4|c4\n5|a5|b5|c5");
}

static void
every_row_has_its_own_unknowns(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("1", UNCHANGED, "x", UNCHANGED), NULL);
	add_update(&b, VALUES("2", UNCHANGED, UNCHANGED, "x"), NULL);
	add_update(&b, VALUES("3", NULL, UNCHANGED, "x"), NULL);
	add_update(&b, VALUES("4", UNCHANGED, "y", UNCHANGED), NULL);
	add_upsert(&b, VALUES("5", "whole", NULL, "row"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    "1|a1|x|c1\n2|a2|b2|x\n3|<null>|b3|x\n4|a4|y|c4\n5|whole|<null>|row");
}

static void
nothing_known_changes_nothing(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("1", UNCHANGED, UNCHANGED, UNCHANGED), NULL);
	add_update(&b, VALUES("2", "new", UNCHANGED, UNCHANGED), NULL);
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t WHERE id < 3 ORDER BY id", "1|a1|b1|c1\n2|new|b2|c2");
}

static void
an_update_makes_no_row(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("9", "new", UNCHANGED, "new"), NULL);
	add_update(&b, VALUES("8", "new", UNCHANGED, "new"), VALUES("7"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT count(*), max(id) FROM t", "5|5");
}

static void
a_whole_row_changes_its_key(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_delete(&b, VALUES("1"));
	add_upsert(&b, VALUES("11", "a1", "new", "c1"));
	add_upsert(&b, VALUES("2", "a5", "b5", "c5"));	/* 5 becomes 2, which stood there */
	add_delete(&b, VALUES("5"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "2|a5|b5|c5\n3|a3|b3|c3\n4|a4|b4|c4\n11|a1|new|c1");
}

static void
a_partial_row_changes_its_key(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("11", "new", UNCHANGED, UNCHANGED), VALUES("1"));
	add_update(&b, VALUES("12", UNCHANGED, UNCHANGED, NULL), VALUES("2"));
	add_update(&b, VALUES("13", UNCHANGED, UNCHANGED, UNCHANGED), VALUES("3"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    "4|a4|b4|c4\n5|a5|b5|c5\n11|new|b1|c1\n12|a2|b2|<null>\n13|a3|b3|c3");
}

static void
a_row_at_the_new_key_is_replaced(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("2", UNCHANGED, "new", UNCHANGED), VALUES("1"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t ORDER BY id", "2|a1|new|c1\n3|a3|b3|c3\n4|a4|b4|c4\n5|a5|b5|c5");
}

static void
an_old_key_that_is_the_new_key(struct fixture *f)
{
	struct batch b = batch_for(f, filled_table(f));

	add_update(&b, VALUES("2", UNCHANGED, "new", UNCHANGED), VALUES("2"));
	write_and_commit(f, &b);
	assert_rows(f, "SELECT * FROM t WHERE id < 4 ORDER BY id", "1|a1|b1|c1\n2|a2|new|c2\n3|a3|b3|c3");
}

static void
keys_change_in_chains_and_swap(struct fixture *f)
{
	struct batch chain = batch_for(f, filled_table(f)), swap = batch_for(f, chain.b.views[0].view);

	/* The rows of a batch come in any order: 1 to 2 before 2 to 3. */
	add_update(&chain, VALUES("2", UNCHANGED, "was 1", UNCHANGED), VALUES("1"));
	add_update(&chain, VALUES("3", UNCHANGED, "was 2", UNCHANGED), VALUES("2"));
	add_upsert(&chain, VALUES("1", "new", "new", "new"));
	write_and_commit(f, &chain);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    "1|new|new|new\n2|a1|was 1|c1\n3|a2|was 2|c2\n4|a4|b4|c4\n5|a5|b5|c5");
	add_update(&swap, VALUES("5", UNCHANGED, "was 4", UNCHANGED), VALUES("4"));
	add_update(&swap, VALUES("4", UNCHANGED, "was 5", UNCHANGED), VALUES("5"));
	add_delete(&swap, VALUES("1"));
	write_and_commit(f, &swap);
	assert_rows(f, "SELECT * FROM t ORDER BY id",
	    "2|a1|was 1|c1\n3|a2|was 2|c2\n4|a5|was 5|c5\n5|a4|was 4|c4");
}

static void
keys_of_text_swap(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(COLUMN("v", "text"), KEY("x", "double precision"),
	    KEY("k", "text"), KEY("n", "numeric")));
	struct batch b = batch_for(f, view), swap = batch_for(f, view);

	start(f);
	ensure(f, view);
	add_upsert(&b, VALUES("one", "1.5", "a", "1.00"));
	add_upsert(&b, VALUES("two", "1.5", "b", "2"));
	write_and_commit(f, &b);
	add_update(&swap, VALUES(UNCHANGED, "1.5", "b", "2"), VALUES("1.5", "a", "1.00"));
	add_update(&swap, VALUES(UNCHANGED, "1.5", "a", "1.00"), VALUES("1.5", "b", "2"));
	write_and_commit(f, &swap);
	assert_rows(f, "SELECT v, x, k, n FROM t ORDER BY k", "two|1.5|a|1.00\none|1.5|b|2");
}

static void
a_key_changes_part_by_part(struct fixture *f)
{
	const struct wm_view *view = make_view(f, "t", COLUMNS(KEY("a", "integer"), KEY("b", "text"),
	    COLUMN("v", "text")));
	struct batch b = batch_for(f, view), c = batch_for(f, view);

	start(f);
	ensure(f, view);
	add_upsert(&b, VALUES("1", "x", "one"));
	add_upsert(&b, VALUES("1", "y", "two"));
	add_upsert(&b, VALUES("2", "x", "three"));
	write_and_commit(f, &b);
	add_update(&c, VALUES("1", "z", UNCHANGED), VALUES("1", "x"));
	add_update(&c, VALUES("1", "x", UNCHANGED), VALUES("2", "x"));
	write_and_commit(f, &c);
	assert_rows(f, "SELECT * FROM t ORDER BY v", "1|z|one\n1|x|three\n1|y|two");
}

static void
unknowns_of_every_number(struct fixture *f)
{
	/* More sets of known columns than a target would keep statements for. */
	const struct wm_view *view = make_view(f, "wide",
	    COLUMNS(KEY("id", "integer"), COLUMN("c0", "text"), COLUMN("c1", "text"),
		COLUMN("c2", "text"), COLUMN("c3", "text"), COLUMN("c4", "text"),
		COLUMN("c5", "text"), COLUMN("c6", "text")));
	struct batch b = batch_for(f, view), c = batch_for(f, view);
	const char *values[8];
	static const char *const ids[] = { "0", "1" };

	start(f);
	ensure(f, view);
	add_upsert(&b, VALUES("0", ".", ".", ".", ".", ".", ".", "."));
	add_upsert(&b, VALUES("1", ".", ".", ".", ".", ".", ".", "."));
	write_and_commit(f, &b);
	for (unsigned set = 0; set < 128; set++) {
		c = batch_for(f, view);
		values[0] = ids[set % 2];
		for (unsigned i = 0; i < 7; i++)
			values[i + 1] = (set >> i & 1) != 0 ? (set >= 64 ? "late" : "early") : UNCHANGED;
		add_update(&c, values, NULL);
		write_batch(f, &c);
	}
	commit(f);
	assert_rows(f, "SELECT * FROM wide ORDER BY id",
	    "0|.|late|late|late|late|late|late\n1|late|late|late|late|late|late|late");
}

const struct test_case update_cases[] = {
	{ "unchanged values stay", unchanged_values_stay, WM_TARGET_PARTIAL, 0, 0 },
	{ "every row has its own unknowns", every_row_has_its_own_unknowns, WM_TARGET_PARTIAL, 0, 0 },
	{ "nothing known changes nothing", nothing_known_changes_nothing, WM_TARGET_PARTIAL, 0, 0 },
	{ "an update makes no row", an_update_makes_no_row, WM_TARGET_PARTIAL, 0, 0 },
	{ "a whole row changes its key", a_whole_row_changes_its_key, 0, 0, 0 },
	{ "a partial row changes its key", a_partial_row_changes_its_key, WM_TARGET_PARTIAL, 0, 0 },
	{ "a row at the new key is replaced", a_row_at_the_new_key_is_replaced, WM_TARGET_PARTIAL, 0, 0 },
	{ "an old key that is the new key", an_old_key_that_is_the_new_key, WM_TARGET_PARTIAL, 0, 0 },
	{ "keys change in chains and swap", keys_change_in_chains_and_swap, WM_TARGET_PARTIAL, 0, 0 },
	{ "keys of text swap", keys_of_text_swap, WM_TARGET_PARTIAL, 0, 0 },
	{ "a key changes part by part", a_key_changes_part_by_part, WM_TARGET_PARTIAL, 0, 0 },
	{ "unknowns of every number", unknowns_of_every_number, WM_TARGET_PARTIAL, 0, 0 },
	{ .name = NULL },
};
