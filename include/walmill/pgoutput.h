/* SPDX-License-Identifier: PostgreSQL */
/*
 * pgoutput.h - decoder of PostgreSQL's pgoutput messages, protocol version 1.
 *
 * Format: PostgreSQL documentation, "Logical Replication Message Formats".  Strict: an unknown
 * tag, a short or overlong message, an unknown flag or a tuple that does not fit its relation
 * is WM_FATAL and nothing of it is delivered.  One decoder belongs to one thread.
 */
#ifndef WM_PGOUTPUT_H
#define WM_PGOUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "walmill/error.h"
#include "walmill/model.h"

enum wm_message_kind {
	WM_MSG_BEGIN = 1,
	WM_MSG_COMMIT,
	WM_MSG_ORIGIN,
	WM_MSG_RELATION,
	WM_MSG_TYPE,
	WM_MSG_INSERT,
	WM_MSG_UPDATE,
	WM_MSG_DELETE,
	WM_MSG_TRUNCATE,
	WM_MSG_MESSAGE,
};

/* Everything borrowed: valid until the next decode, or as long as the message's bytes (values). */
struct wm_message {
	enum wm_message_kind		 kind;
	uint32_t			 xid;		/* begin */
	wm_lsn				 lsn;		/* begin: commit LSN; commit: commit LSN; origin; message */
	wm_lsn				 end_lsn;	/* commit */
	wm_usec				 time;		/* begin, commit: commit time, Unix microseconds */
	const struct wm_relation	*relation;	/* relation, insert, update, delete: the cached one */
	const struct wm_tuple		*before;	/* update, delete; NULL when not sent */
	bool				 before_full;	/* 'O' rather than 'K' */
	const struct wm_tuple		*after;		/* insert, update */
	unsigned			 nrelations;	/* truncate */
	const struct wm_relation *const	*relations;	/* truncate */
	bool				 cascade, restart_identity;	/* truncate */
	uint32_t			 type_oid;	/* type */
	const char			*schema, *name;	/* type; origin: name */
	bool				 transactional;	/* message */
	const char			*prefix;	/* message */
	const uint8_t			*content;	/* message */
	size_t				 content_len;
};

struct wm_pgoutput;

struct wm_pgoutput *wm_pgoutput_create(void);		/* NULL: memory out */
void wm_pgoutput_destroy(struct wm_pgoutput *po);	/* NULL is a no-op */
/* A new session: forgets relations and any transaction that was open. */
void wm_pgoutput_reset(struct wm_pgoutput *po);
/* WM_FATAL also when messages come in an impossible order (insert outside a transaction, ...). */
enum wm_status wm_pgoutput_decode(struct wm_pgoutput *po, const void *msg, size_t len, struct wm_message *ret,
    struct wm_error *err) WM_MUST_CHECK;
/* The relation as last announced, or NULL. */
const struct wm_relation *wm_pgoutput_relation(const struct wm_pgoutput *po, uint32_t oid);

#endif
