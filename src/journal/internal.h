/* SPDX-License-Identifier: PostgreSQL */
/*
 * internal.h - segments, and who may touch what.
 *
 * The writer fills the last segment without a lock; what a reader may see is the segment's
 * `published` length, stored with release order.  The next segment is linked only after the last
 * one was published whole, so a reader that finds `next` has seen all of the one before.  The
 * mutex guards the chain's head, pins, the readers' positions and sleeping.
 *
 * A durable journal has a file for each segment, which the syncer fills from memory.  Memory goes
 * back when a segment is in its file and no reader stands in it; a reader that comes to such a
 * segment loads it again.
 */
#ifndef WM_JOURNAL_INTERNAL_H
#define WM_JOURNAL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "walmill/journal.h"

#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

/* A relation message in force; shared by the writer's table and segments' preludes. */
struct blob {
	size_t		refs;		/* guarded by the journal's mutex */
	size_t		len;
	uint8_t		bytes[];
};

struct relation {
	uint32_t	 oid;
	struct blob	*blob;
	UT_hash_handle	 hh;
};

struct header {				/* in front of each record, 8-byte aligned */
	wm_lsn		lsn;
	uint32_t	len;
	uint32_t	kind;
};

struct prelude {			/* relations in force where a segment begins */
	size_t		  n;
	struct blob	**list;
};

struct segment {
	_Atomic(struct segment *) next;
	atomic_size_t	 published;	/* bytes readers may see */
	size_t		 used;		/* writer's own */
	size_t		 size;
	uint64_t	 number;
	wm_lsn		 base;		/* every transaction that ends up to here is in earlier segments, or known */
	bool		 mid;		/* begins within a transaction */
	struct prelude	 prelude;	/* guarded; there while bytes are */
	uint8_t		*bytes;		/* guarded; NULL: in the file only */
	unsigned	 pins;		/* guarded: readers that stand in it, and the syncer */
	bool		 loading;	/* guarded: some reader reads the file */

	/* a durable journal's; the syncer's own, but for the first two */
	bool		 on_disk;	/* guarded: all of it is in the file; set when the segment is full */
	bool		 lost;		/* guarded: what is not in the file never will be */
	size_t		 synced;	/* bytes of records that are in the file for sure */
	uint64_t	 previous;	/* number of the segment before it in the files; 0 none */
	size_t		 previous_len;	/* bytes of records in that one's file */
};

struct syncer {				/* guarded, or the thread's own; a durable journal's thread; see syncer.c */
	pthread_t	 thread;
	bool		 runs;
	bool		 stop;		/* guarded */
	bool		 idle;		/* guarded: it waits for something to do, not for its next round */
	pthread_cond_t	 work;
	int		 fd;		/* the file at work, or -1 */
	uint64_t	 fd_number;
	uint64_t	 file_end;	/* where its next frame goes */
	bool		 fresh;		/* the folder does not hold its name for sure yet */
	struct segment	*at;		/* first segment that is not whole in its file; pinned */
	wm_lsn		 published;	/* guarded: end of the last whole transaction that was published */
	atomic_uint_fast64_t flushed;	/* the same of what is in the files for sure */
	bool		 no_space;	/* guarded: the file system is full; it is tried again */
	bool		 failed;	/* guarded: nothing is written until wm_journal_mend */
	struct wm_error	 error;		/* guarded: with no_space or failed */
};

struct wm_journal {
	pthread_mutex_t	 lock;
	pthread_cond_t	 more;
	char		*folder;	/* NULL: in memory only */
	size_t		 segment_bytes;
	size_t		 max_memory;
	uint64_t	 max_bytes;	/* of the files */
	size_t		 memory;	/* bytes of the segments in memory; guarded */
	uint64_t	 kept;		/* bytes of all segments; guarded */
	struct segment	*first;		/* guarded */
	struct segment	*last;		/* written by the writer under the lock, so it reads without */
	uint64_t	 keep;		/* guarded: a durable journal keeps its files from this segment on */
	struct segment	*restarted;	/* where readers of an older generation go; guarded */
	unsigned	 generation;	/* guarded; copies in readers */
	atomic_uint	 generation_now;
	struct relation	*relations;	/* writer's own */
	atomic_uint_fast64_t complete;
	bool		 in_transaction;	/* writer's own */
	bool		 writer_waits;	/* guarded */
	bool		 full;		/* guarded: max_bytes is reached */
	bool		 hole;		/* guarded: the transaction that ends next after hole_lsn is not whole here */
	wm_lsn		 hole_lsn;
	unsigned	 sleepers;	/* guarded */
	int		 space_fd;
	struct wm_journal_reader *readers;	/* guarded */
	struct syncer	 sync;
};

struct place {
	struct segment	*segment;
	size_t		 offset;
};

struct wm_journal_reader {
	struct wm_journal	*journal;
	struct wm_journal_reader *next;
	struct place		 cur;		/* next record to read; reader's own */
	struct segment		*pinned;	/* first segment that it pins; NULL none */
	struct segment		*entered;	/* last one; cur.segment while there is something to read from */
	struct place		 released;	/* guarded: segments before it are not used */
	struct place		 mark;		/* guarded: where a rewind goes */
	bool			 mark_lost;	/* guarded: the mark's segment is gone */
	bool			 holds;		/* reader's own: what was read before `held` is still used */
	struct place		 held, held_mark;	/* and where a mark there would be */
	unsigned		 generation;
	bool			 woken;		/* guarded */
	/* what a (re)start in mid-log still has to give before the record at cur */
	bool			 give_reset, restarted;
	size_t			 prelude_at;	/* next prelude entry; SIZE_MAX: none */
	size_t			 scan_to;	/* until this offset only relations and resets; 0: not scanning */
	bool			 skip_tail;	/* until the end of a transaction that began before */
	atomic_uint_fast64_t	 committed;
};

/* ---- segment.c; the lock is held unless said otherwise ---- */

/* A segment in memory with the relations in force; number, base and mid are the caller's. */
struct segment *segment_new(struct wm_journal *j, size_t size);
/* Somebody needs it no more; the lock is held. */
void segment_unpin(struct wm_journal *j, struct segment *s);
/* Of any state; forgets it without its file. */
void segment_free(struct wm_journal *j, struct segment *s);
void blob_unref(struct blob *b);
void prelude_free(struct prelude *p);
/* Frees the segments that no reader needs; past_marks: also what readers have released but not committed. */
void segments_trim(struct wm_journal *j, bool past_marks);
/* Gives memory back until need more bytes fit; false when they do not. */
bool segments_evict(struct wm_journal *j, size_t need);
/* Makes the bytes of a pinned segment present; gives the lock back while it reads. */
enum wm_status segment_load(struct wm_journal *j, struct segment *s, struct wm_error *err);
/*
 * The last segment from whose beginning every transaction that ends after lsn can be read whole; NULL: none is kept.
 * A transaction that is open where it begins ends up to lsn.
 */
struct segment *segment_before(const struct wm_journal *j, wm_lsn lsn);
/* Every transaction that ends after this is in the segments, whole. */
wm_lsn segments_base(const struct wm_journal *j);
/* Tells a writer that waits for room. */
void tell_writer(struct wm_journal *j);

/* ---- file.c: what a file looks like; without the lock ---- */

struct segment_head {
	uint64_t	number, previous;
	size_t		previous_len;
	wm_lsn		base;
	bool		mid;
};

char *file_path(const struct wm_journal *j, uint64_t number);
/* Makes the file with its head; *ret_end: where the first frame goes. */
enum wm_status file_create(const struct wm_journal *j, const struct segment *s, int *ret_fd, uint64_t *ret_end,
    struct wm_error *err);
/* One frame; may be called again with the same end after a failure.  WM_RETRY: no space. */
enum wm_status file_append(const struct wm_journal *j, int fd, const void *bytes, size_t len, uint64_t *end,
    struct wm_error *err);
enum wm_status file_sync(const struct wm_journal *j, int fd, uint64_t number, struct wm_error *err);
enum wm_status folder_sync(const struct wm_journal *j, struct wm_error *err);
enum wm_status file_delete(const struct wm_journal *j, uint64_t number, struct wm_error *err);
/* Reads the head only; WM_REJECT: it is not whole. */
enum wm_status file_head(const struct wm_journal *j, uint64_t number, struct segment_head *ret, uint64_t *ret_size,
    struct wm_error *err);
/*
 * Reads the whole frames from the file's beginning; caller frees *ret_bytes and the prelude.  *ret_end: where the first
 * frame that is not whole begins.
 */
enum wm_status file_read(const struct wm_journal *j, uint64_t number, struct prelude *ret_prelude, uint8_t **ret_bytes,
    size_t *ret_len, uint64_t *ret_end, struct wm_error *err);
enum wm_status file_cut(const struct wm_journal *j, uint64_t number, uint64_t end, struct wm_error *err);

/* ---- recover.c ---- */

/* Takes over the files of the folder, which is made when missing; the chain ends with a segment in memory. */
enum wm_status journal_recover(struct wm_journal *j, struct wm_error *err);
/* Follows transaction boundaries: *complete and *in_transaction after this record. */
void track(enum wm_record_kind kind, wm_lsn lsn, const void *data, size_t len, wm_lsn *complete, bool *in_transaction);

/* ---- syncer.c ---- */

enum wm_status syncer_start(struct wm_journal *j, struct wm_error *err);
/* Writes what was published, and ends the thread. */
void syncer_stop(struct wm_journal *j);

#endif
