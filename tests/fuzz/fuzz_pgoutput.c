/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_pgoutput.c - fuzz target of the pgoutput decoder: a session of messages, each behind its
 * length in two bytes.
 *
 * Besides not crashing: what was decoded fits its relation and points into the message, and
 * what was refused is fatal, says why and has not touched the caller's message.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "walmill/pgoutput.h"
#include "walmill/reader.h"

static void
check_tuple(const struct wm_message *m, const struct wm_tuple *t, const uint8_t *msg, size_t len)
{
	if (t == NULL)
		return;
	require(m->relation != NULL && t->n == m->relation->ncolumns);
	for (unsigned i = 0; i < t->n; i++) {
		const struct wm_value *v = &t->values[i];
		size_t offset;

		if (v->kind == WM_VALUE_NULL || v->kind == WM_VALUE_UNCHANGED) {
			require(v->len == 0);
			continue;
		}
		offset = (size_t)((const uint8_t *)v->data - msg);
		require(offset <= len && v->len <= len - offset);
	}
}

static void
check_message(
    const struct wm_pgoutput *po, const struct wm_message *m, const uint8_t *msg, size_t len)
{
	require(m->kind >= WM_MSG_BEGIN && m->kind <= WM_MSG_MESSAGE);
	check_tuple(m, m->before, msg, len);
	check_tuple(m, m->after, msg, len);
	if (m->relation != NULL)
		require(wm_pgoutput_relation(po, m->relation->oid) == m->relation);
	for (unsigned i = 0; i < m->nrelations; i++)
		require(wm_pgoutput_relation(po, m->relations[i]->oid) == m->relations[i]);
	if (m->kind == WM_MSG_INSERT || m->kind == WM_MSG_UPDATE)
		require(m->after != NULL);
	if (m->kind == WM_MSG_DELETE)
		require(m->before != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wm_reader r = { .p = data, .end = data + size };
	struct wm_pgoutput *po = wm_pgoutput_create();
	struct wm_message m, untouched;
	struct wm_error err;

	require(po != NULL);
	while (wm_reader_left(&r) >= 2) {
		size_t len = wm_reader_u16(&r);
		const uint8_t *msg;

		if (len > wm_reader_left(&r))
			len = wm_reader_left(&r);
		msg = wm_reader_bytes(&r, len);
		memset(&m, 0x55, sizeof(m));
		untouched = m;
		err.text[0] = '\0';
		if (wm_pgoutput_decode(po, msg, len, &m, &err) == WM_OK) {
			check_message(po, &m, msg, len);
		} else {
			require(err.status == WM_FATAL && err.text[0] != '\0');
			require(memcmp(&m, &untouched, sizeof(m)) == 0);
		}
	}
	wm_pgoutput_destroy(po);
	return 0;
}
