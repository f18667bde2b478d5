/* SPDX-License-Identifier: PostgreSQL */
/*
 * arena.c - memory that is released all at once.
 *
 * A list of chunks; only the first one is filled.  An allocation that does not fit a chunk of
 * the usual size gets one of its own, put behind the first so that the first goes on filling.
 */
#include "walmill/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Under AddressSanitizer a use of memory that was reset is an error, as with free(). */
#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#define ALIGN alignof(max_align_t)

struct chunk {
	struct chunk		*next;
	size_t			 size, used;	/* bytes of data */
	alignas(max_align_t) unsigned char data[];
};

struct wm_arena {
	size_t		 block;
	size_t		 used;		/* since the last reset, over all chunks */
	struct chunk	*chunks;
};

struct wm_arena *
wm_arena_create(size_t block)
{
	struct wm_arena *a = calloc(1, sizeof(*a));

	assert(block > 0 && block <= SIZE_MAX / 2);
	if (a != NULL)
		a->block = (block + ALIGN - 1) / ALIGN * ALIGN;
	return a;
}

static void
free_chunks(struct chunk *c)
{
	struct chunk *next;

	for (; c != NULL; c = next) {
		next = c->next;
		ASAN_UNPOISON_MEMORY_REGION(c->data, c->size);
		free(c);
	}
}

void
wm_arena_destroy(struct wm_arena *a)
{
	if (a == NULL)
		return;
	free_chunks(a->chunks);
	free(a);
}

void
wm_arena_destroyp(struct wm_arena **a)
{
	wm_arena_destroy(*a);
}

void
wm_arena_reset(struct wm_arena *a)
{
	struct chunk *kept = NULL, **link = &a->chunks;

	for (; *link != NULL; link = &(*link)->next) {
		if ((*link)->size == a->block) {
			kept = *link;
			*link = kept->next;
			kept->next = NULL;
			kept->used = 0;
			ASAN_POISON_MEMORY_REGION(kept->data, kept->size);
			break;
		}
	}
	free_chunks(a->chunks);
	a->chunks = kept;
	a->used = 0;
}

static struct chunk *
add_chunk(struct wm_arena *a, size_t size)
{
	struct chunk *c;

	if (size > SIZE_MAX - sizeof(*c))
		return NULL;
	c = malloc(sizeof(*c) + size);
	if (c == NULL)
		return NULL;
	c->size = size;
	c->used = 0;
	ASAN_POISON_MEMORY_REGION(c->data, c->size);
	if (size > a->block && a->chunks != NULL) {
		c->next = a->chunks->next;
		a->chunks->next = c;
	} else {
		c->next = a->chunks;
		a->chunks = c;
	}
	return c;
}

void *
wm_arena_alloc(struct wm_arena *a, size_t n)
{
	struct chunk *c = a->chunks;
	size_t size;
	void *p;

	if (n > SIZE_MAX - ALIGN)
		return NULL;
	size = n == 0 ? ALIGN : (n + ALIGN - 1) / ALIGN * ALIGN;
	if (c == NULL || size > c->size - c->used) {
		c = add_chunk(a, size > a->block ? size : a->block);
		if (c == NULL)
			return NULL;
	}
	p = c->data + c->used;
	c->used += size;
	a->used += size;
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	return p;
}

void *
wm_arena_calloc(struct wm_arena *a, size_t count, size_t size)
{
	size_t n;
	void *p;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	p = wm_arena_alloc(a, n);
	if (p != NULL && n > 0)
		memset(p, 0, n);
	return p;
}

char *
wm_arena_dup(struct wm_arena *a, const void *p, size_t n)
{
	char *copy = n < SIZE_MAX ? wm_arena_alloc(a, n + 1) : NULL;

	if (copy == NULL)
		return NULL;
	if (n > 0)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *
wm_arena_strdup(struct wm_arena *a, const char *s)
{
	return wm_arena_dup(a, s, strlen(s));
}

size_t
wm_arena_used(const struct wm_arena *a)
{
	return a->used;
}
