/* SPDX-License-Identifier: PostgreSQL */
/*
 * relations.h - descriptions of relations: those that the server takes for sent, and what of them the journal lacks.
 *
 * The server describes a relation before its first change in a session, and again when it has changed.  A description
 * that came within a transaction that is put aside counts for what follows at once; the journal gets it when something
 * there needs it.
 */
#ifndef WM_RELATIONS_H
#define WM_RELATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "walmill/buf.h"
#include "walmill/error.h"
#include "walmill/journal.h"
#include "walmill/lsn.h"
#include "walmill/reader.h"

struct wm_described {
	UT_hash_handle	 hh;
	uint32_t	 oid;
	struct wm_buf	 message;
	bool		 pending;	/* the journal has another one, or none */
	uint64_t	 order;		/* in which the server sent it */
	uint64_t	 file;		/* the last transaction that was put aside with it */
};

struct wm_relations {
	struct wm_described	*list;	/* hash, by OID */
	size_t			 npending;
	uint64_t		 order;	/* the last one */
};

void wm_relations_free(struct wm_relations *r);		/* leaves it empty */
struct wm_described *wm_relations_find(const struct wm_relations *r, uint32_t oid);
/* Takes a description; a newer one takes an older one's place. */
enum wm_status wm_relations_note(struct wm_relations *r, const void *msg, size_t len, bool pending,
    struct wm_described **ret, struct wm_error *err);
/* A transaction that came as a stream has ended: what it has described last counts for what follows. */
enum wm_status wm_relations_merge(struct wm_relations *r, const struct wm_relations *of_stream, struct wm_error *err);
void wm_relations_set_pending(struct wm_relations *r, struct wm_described *d, bool pending);
/* Puts the description into the journal; lsn: of the message that needs it. */
enum wm_status wm_relations_append(struct wm_relations *r, struct wm_described *d, struct wm_journal *j, wm_lsn lsn,
    struct wm_error *err);

struct wm_changed {		/* a walk over the relations that a message changes */
	struct wm_reader	r;
	uint32_t		left;
};

struct wm_changed wm_changed_begin(const void *msg, size_t len);
bool wm_changed_next(struct wm_changed *c, uint32_t *ret_oid);

#endif
