/* SPDX-License-Identifier: PostgreSQL */
/*
 * reader.h - bounds-checked reading of big-endian input bytes.
 *
 * The first short read sets `bad`, which sticks; from then on every read returns zero.
 * Decoders therefore hold no error handling: one check at the end judges.
 */
#ifndef WM_READER_H
#define WM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct wm_reader {
	const uint8_t	*p, *end;
	bool		 bad;
};

static inline size_t
wm_reader_left(const struct wm_reader *r)
{
	return (size_t)(r->end - r->p);
}

/* n <= 8 */
static inline uint64_t
wm_reader_uint(struct wm_reader *r, size_t n)
{
	uint64_t v = 0;

	if (r->bad || wm_reader_left(r) < n) {
		r->bad = true;
		return 0;
	}
	while (n-- > 0)
		v = v << 8 | *r->p++;
	return v;
}

static inline uint8_t
wm_reader_u8(struct wm_reader *r)
{
	return (uint8_t)wm_reader_uint(r, 1);
}

static inline uint16_t
wm_reader_u16(struct wm_reader *r)
{
	return (uint16_t)wm_reader_uint(r, 2);
}

static inline uint32_t
wm_reader_u32(struct wm_reader *r)
{
	return (uint32_t)wm_reader_uint(r, 4);
}

static inline uint64_t
wm_reader_u64(struct wm_reader *r)
{
	return wm_reader_uint(r, 8);
}

/* Borrows n bytes of the input; NULL when there are fewer. */
static inline const uint8_t *
wm_reader_bytes(struct wm_reader *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->bad || wm_reader_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return at;
}

/* Borrows a NUL-terminated string of the input; "" when there is none. */
static inline const char *
wm_reader_str(struct wm_reader *r)
{
	const char *s = (const char *)r->p;
	const uint8_t *nul = r->bad ? NULL : memchr(r->p, 0, wm_reader_left(r));

	if (nul == NULL) {
		r->bad = true;
		return "";
	}
	r->p = nul + 1;
	return s;
}

#endif
