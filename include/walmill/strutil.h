/* SPDX-License-Identifier: PostgreSQL */
/*
 * strutil.h - the string helpers that more than one module needs.
 */
#ifndef WM_STRUTIL_H
#define WM_STRUTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/compiler.h"

/* For WM_AUTO: frees what the local points to. */
void wm_freep(void *p);

/* Whole-string decimal parsing; false on anything else, overflow included. */
bool wm_parse_i64(const char *s, int64_t *ret) WM_MUST_CHECK;
bool wm_parse_u64(const char *s, uint64_t *ret) WM_MUST_CHECK;
/* "8MiB", "512", "10GiB": bytes.  Units: B KiB MiB GiB TiB. */
bool wm_parse_size(const char *s, uint64_t *ret_bytes) WM_MUST_CHECK;
/* "100ms", "5s", "10min", "2h", "1d": microseconds.  A bare number is refused, but for "0". */
bool wm_parse_duration(const char *s, int64_t *ret_usec) WM_MUST_CHECK;

/* Shell-like glob over one name: * and ? only, case-sensitive. */
bool wm_glob_match(const char *glob, const char *name);
bool wm_glob_match_n(const char *glob, size_t n, const char *name);	/* of so many bytes */
/* The candidate nearest to word (edit distance at most a third of its length), or NULL. */
const char *wm_nearest(const char *word, const char *const *candidates, size_t n);
/* 64-bit FNV-1a, chained through seed (0 to start). */
uint64_t wm_hash(const void *p, size_t n, uint64_t seed);
/* malloc'd printf; NULL when memory is out. */
char *wm_asprintf(const char *fmt, ...) WM_PRINTF(1, 2);

#endif
