/* SPDX-License-Identifier: PostgreSQL */
/*
 * arena.h - memory that is released all at once.
 *
 * Not thread-safe; one owner at a time.  Every pointer it returned is invalid after
 * wm_arena_reset and wm_arena_destroy.
 */
#ifndef WM_ARENA_H
#define WM_ARENA_H

#include <stddef.h>

#include "walmill/compiler.h"

struct wm_arena;

/* block is the size of its chunks in bytes.  NULL when memory is out. */
struct wm_arena *wm_arena_create(size_t block) WM_MUST_CHECK;
void wm_arena_destroy(struct wm_arena *a);		/* NULL is a no-op */
void wm_arena_destroyp(struct wm_arena **a);		/* for WM_AUTO */
/* Forgets everything; keeps one block for reuse and gives larger memory back. */
void wm_arena_reset(struct wm_arena *a);
/* Aligned for any type, not cleared.  NULL when memory is out. */
void *wm_arena_alloc(struct wm_arena *a, size_t n) WM_MUST_CHECK;
void *wm_arena_calloc(struct wm_arena *a, size_t count, size_t size) WM_MUST_CHECK;
/* Copies n bytes and adds a NUL. */
char *wm_arena_dup(struct wm_arena *a, const void *p, size_t n) WM_MUST_CHECK;
char *wm_arena_strdup(struct wm_arena *a, const char *s) WM_MUST_CHECK;
/* Bytes handed out since the last reset. */
size_t wm_arena_used(const struct wm_arena *a);

#endif
