/* SPDX-License-Identifier: PostgreSQL */
/*
 * strutil.c - parsing of numbers, sizes and durations; globs; the nearest word.
 */
#include "walmill/strutil.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/buf.h"

#define NEAREST_MAX 64		/* longer words are not compared */

struct unit {
	const char	*name;
	uint64_t	 factor;
};

void
wm_freep(void *p)
{
	free(*(void **)p);
}

/* Reads digits; returns what follows them, NULL when there are none or too many. */
static const char *
parse_digits(const char *s, uint64_t *ret)
{
	const char *start = s;
	uint64_t v = 0;

	for (; *s >= '0' && *s <= '9'; s++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (unsigned)(*s - '0'), &v))
			return NULL;
	}
	if (s == start)
		return NULL;
	*ret = v;
	return s;
}

bool
wm_parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v;

	s = parse_digits(s, &v);
	if (s == NULL || *s != '\0')
		return false;
	*ret = v;
	return true;
}

bool
wm_parse_i64(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t v;

	if (!wm_parse_u64(s + negative, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*ret = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool
parse_unit(const char *s, const struct unit *units, size_t n, uint64_t *ret)
{
	uint64_t v;

	s = parse_digits(s, &v);
	if (s == NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, units[i].name) == 0)
			return !__builtin_mul_overflow(v, units[i].factor, ret);
	}
	return false;
}

bool
wm_parse_size(const char *s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ "", 1 },
		{ "B", 1 },
		{ "KiB", 1ull << 10 },
		{ "MiB", 1ull << 20 },
		{ "GiB", 1ull << 30 },
		{ "TiB", 1ull << 40 },
	};
	uint64_t bytes;

	if (!parse_unit(s, units, WM_ARRAY_SIZE(units), &bytes))
		return false;
	*ret_bytes = bytes;
	return true;
}

bool
wm_parse_duration(const char *s, int64_t *ret_usec)
{
	static const struct unit units[] = {
		{ "ms", 1000ull },
		{ "s", 1000000ull },
		{ "min", 60 * 1000000ull },
		{ "m", 60 * 1000000ull },
		{ "h", 3600 * 1000000ull },
		{ "d", 86400 * 1000000ull },
	};
	uint64_t usec = 0;

	if (strcmp(s, "0") != 0 &&
	    (!parse_unit(s, units, WM_ARRAY_SIZE(units), &usec) || usec > INT64_MAX))
		return false;
	*ret_usec = (int64_t)usec;
	return true;
}

/* The next UTF-8 character's start. */
static const char *
next_char(const char *s)
{
	do
		s++;
	while (((unsigned char)*s & 0xc0) == 0x80);
	return s;
}

bool
wm_glob_match(const char *glob, const char *name)
{
	return wm_glob_match_n(glob, strlen(glob), name);
}

bool
wm_glob_match_n(const char *glob, size_t n, const char *name)
{
	const char *star = NULL, *retry = NULL, *end = glob + n;

	/* Only the last star can have to give up more: linear in practice, never exponential. */
	while (*name != '\0') {
		if (glob < end && *glob == '*') {
			star = ++glob;
			retry = name;
		} else if (glob < end && *glob == '?') {
			glob++;
			name = next_char(name);
		} else if (glob < end && *glob == *name) {
			glob++;
			name++;
		} else if (star != NULL) {
			glob = star;
			name = retry = next_char(retry);
		} else {
			return false;
		}
	}
	while (glob < end && *glob == '*')
		glob++;
	return glob == end;
}

/* Insertions, deletions, replacements and swaps of neighbours, each counted once. */
static size_t
edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
	size_t rows[3][NEAREST_MAX + 1];
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *spare;

	for (size_t j = 0; j <= nb; j++)
		before[j] = last[j] = j;
	for (size_t i = 1; i <= na; i++) {
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[nb];
}

const char *
wm_nearest(const char *word, const char *const *candidates, size_t n)
{
	size_t len = strlen(word), best = len / 3 + 1;
	const char *nearest = NULL;

	if (len > NEAREST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t clen = strlen(candidates[i]), distance;

		if (clen > NEAREST_MAX)
			continue;
		distance = edit_distance(word, len, candidates[i], clen);
		if (distance < best) {
			best = distance;
			nearest = candidates[i];
		}
	}
	return nearest;
}

uint64_t
wm_hash(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *bytes = p;
	uint64_t h = seed != 0 ? seed : 0xcbf29ce484222325u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ bytes[i]) * 0x100000001b3u;
	return h;
}

char *
wm_asprintf(const char *fmt, ...)
{
	struct wm_buf b;
	va_list ap;

	wm_buf_init(&b, SIZE_MAX);
	va_start(ap, fmt);
	wm_buf_vaddf(&b, fmt, ap);
	va_end(ap);
	return wm_buf_steal(&b);
}
