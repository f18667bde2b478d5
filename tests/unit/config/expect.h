/* SPDX-License-Identifier: PostgreSQL */
/*
 * expect.h - comparing findings, and files to read, for the tests of the configuration reader.
 */
#ifndef TESTS_CONFIG_EXPECT_H
#define TESTS_CONFIG_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "walmill/buf.h"
#include "walmill/diag.h"

/* Every finding, one a line: "place: text", warnings with "warning: " in front. */
static inline void
expect_diags(struct wm_diags *d, const char *expected)
{
	struct wm_buf b;

	wm_buf_init(&b, 1 << 20);
	for (size_t i = 0; i < d->n; i++)
		wm_buf_addf(&b, "%s%s: %s\n", d->list[i].severity == WM_WARNING ? "warning: " : "",
		    d->list[i].place != NULL ? d->list[i].place : "(no place)", d->list[i].text);
	assert_string_equal(b.data, expected);
	wm_buf_free(&b);
	wm_diags_free(d);
}

/* Writes text to path below the working folder. */
static inline void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static inline void
make_folder(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

/* An empty working folder for one test; state keeps its name. */
static inline int
enter_folder(void **state)
{
	char *name = strdup("/tmp/walmill-test-XXXXXX");

	if (name == NULL || mkdtemp(name) == NULL || chdir(name) != 0)
		return -1;
	*state = name;
	return 0;
}

static inline int
leave_folder(void **state)
{
	WM_AUTO(wm_buf_free) struct wm_buf command;
	int rc;

	wm_buf_init(&command, 4096);
	wm_buf_addf(&command, "rm -rf '%s'", (char *)*state);
	rc = chdir("/") != 0 || command.failed ? -1 : system(command.data);
	free(*state);
	return rc;
}

#endif
