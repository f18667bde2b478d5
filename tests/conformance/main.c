/* SPDX-License-Identifier: PostgreSQL */
/*
 * main.c - runs every case of the conformance suite on every target that is available.
 */
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"

static const struct peer *const peers[] = { &sqlite_peer, &postgres_peer, &postgres_parallel_peer, &zoho_peer };
static const struct test_case *const lists[] = { life_cases, durable_cases, write_cases, fresh_cases,
	update_cases, shape_cases, type_cases, pass_cases };

struct run {
	const struct peer	*peer;
	const struct test_case	*what;
	struct fixture		 f;
};

static bool
is_skipped(const struct run *run)
{
	return run->peer->unavailable() != NULL || (run->what->caps & ~run->peer->ops->caps) != 0 ||
	    (run->what->can & ~run->peer->can) != 0 || (run->what->without & run->peer->ops->caps) != 0;
}

static int
set_up(void **state)
{
	struct run *run = *state;

	run->f = (struct fixture){ .peer = run->peer };
	run->f.arena = wm_arena_create(64 << 10);
	if (run->f.arena == NULL)
		return -1;
	if (!is_skipped(run))
		run->peer->set_up(&run->f);
	return 0;
}

static int
tear_down(void **state)
{
	struct run *run = *state;

	wm_target_destroy(run->f.target);
	if (!is_skipped(run))
		run->peer->tear_down(&run->f);
	wm_arena_destroy(run->f.arena);
	return 0;
}

static void
run_case(void **state)
{
	struct run *run = *state;

	if (is_skipped(run))
		skip();
	run->what->run(&run->f);
}

/* Only names that hold a word of argv run, all without one. */
static bool
is_wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(name, argv[i]) != NULL)
			return true;
	return argc < 2;
}

int
main(int argc, char **argv)
{
	struct CMUnitTest tests[512];
	struct run runs[512];
	size_t n = 0;
	int failed;

	for (size_t p = 0; p < WM_ARRAY_SIZE(peers); p++) {
		if (peers[p]->unavailable() != NULL)
			print_message("# %s is skipped: %s\n", peers[p]->name, peers[p]->unavailable());
		for (size_t l = 0; l < WM_ARRAY_SIZE(lists); l++) {
			for (const struct test_case *c = lists[l]; c->name != NULL && n < WM_ARRAY_SIZE(tests); c++) {
				char *name = wm_asprintf("%s: %s", peers[p]->name, c->name);

				if (name == NULL || !is_wanted(name, argc, argv)) {
					free(name);
					continue;
				}
				runs[n] = (struct run){ .peer = peers[p], .what = c };
				tests[n] = (struct CMUnitTest){ name, run_case, set_up, tear_down, &runs[n] };
				n++;
			}
		}
	}
	failed = _cmocka_run_group_tests("conformance", tests, n, NULL, NULL);
	for (size_t i = 0; i < n; i++)
		free((char *)(uintptr_t)tests[i].name);
	return failed != 0;
}
