/* SPDX-License-Identifier: PostgreSQL */
/*
 * prepared.c - transactions that are prepared at the source, until they are committed or rolled back.
 *
 * A name is the transaction's number, behind which stands the end of its commit once the journal gets it: a session
 * that begins later than that has no use for the file.
 */
#include "prepared.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/folder.h"
#include "walmill/log.h"
#include "walmill/source.h"
#include "walmill/strutil.h"

#define MAGIC UINT64_C(0x576d507265703031)	/* also tells the order of bytes */
#define IDENTITY_SIZE 200

struct label {				/* in front of a file's messages */
	uint64_t	magic;
	uint64_t	end;		/* of the file */
	uint64_t	unused;		/* 0 */
	uint32_t	xid;		/* as in the name */
	char		gid[WM_GID_SIZE];
	char		identity[IDENTITY_SIZE];
};

_Static_assert(sizeof(struct label) <= WM_SPOOL_LABEL, "the label has room");

struct wm_prepared {
	UT_hash_handle	 hh;
	uint32_t	 xid;
	char		 gid[WM_GID_SIZE];
	struct wm_spool	*spool;		/* NULL: its file has a name */
	long		 end;		/* of the file */
	wm_lsn		 done;		/* in the name: end of the commit; 0 none */
	bool		 committed;	/* in this session */
};

/* ---- names ---- */

static char *
path_of(const struct wm_prepareds *p, uint32_t xid, wm_lsn done)
{
	return done == 0 ? wm_asprintf("%s/%08" PRIx32, p->folder, xid) :
			   wm_asprintf("%s/%08" PRIx32 ".%016" PRIx64, p->folder, xid, done);
}

static bool
parse_name(const char *name, uint32_t *ret_xid, wm_lsn *ret_done)
{
	char again[40];
	unsigned long long done = 0;
	unsigned xid;
	int n = sscanf(name, "%8x.%16llx", &xid, &done);

	if (n == 1)
		snprintf(again, sizeof(again), "%08x", xid);
	else if (n == 2)
		snprintf(again, sizeof(again), "%08x.%016llx", xid, done);
	if (n < 1 || strcmp(name, again) != 0)
		return false;
	*ret_xid = xid;
	*ret_done = done;
	return true;
}

static enum wm_status
file_failed(const struct wm_prepareds *p, const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_RETRY, "could not %s a prepared transaction's file in \"%s\": %s", what, p->folder,
	    strerror(errno));
}

static enum wm_status
remove_file(struct wm_prepareds *p, uint32_t xid, wm_lsn done, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = path_of(p, xid, done);

	if (path == NULL)
		return wm_oom(err, "a path");
	if (unlink(path) != 0 && errno != ENOENT)
		return file_failed(p, "remove", err);
	p->renamed = true;
	WM_FAULT(prepared_removed);
	return WM_OK;
}

/* ---- the list ---- */

static struct wm_prepared *
find(const struct wm_prepareds *p, uint32_t xid)
{
	struct wm_prepared *one;

	HASH_FIND(hh, p->list, &xid, sizeof(xid), one);
	return one;
}

static struct wm_prepared *
add(struct wm_prepareds *p, uint32_t xid, const char *gid, struct wm_error *err)
{
	struct wm_prepared *one = calloc(1, sizeof(*one));

	if (one == NULL) {
		(void)wm_oom(err, "a prepared transaction");
		return NULL;
	}
	one->xid = xid;
	snprintf(one->gid, sizeof(one->gid), "%s", gid);
	HASH_ADD(hh, p->list, xid, sizeof(one->xid), one);
	return one;
}

/* Its file stays. */
static void
drop(struct wm_prepareds *p, struct wm_spools *all, struct wm_prepared *one)
{
	HASH_DEL(p->list, one);
	if (one->spool != NULL) {
		p->unsynced--;
		wm_spool_free(all, one->spool);
	} else
		all->bytes -= (uint64_t)(one->end - WM_SPOOL_LABEL);
	p->committed -= one->committed;
	free(one);
}

/* Its file goes with it. */
static enum wm_status
forget(struct wm_prepareds *p, struct wm_spools *all, struct wm_prepared *one, struct wm_error *err)
{
	bool named = one->spool == NULL;
	uint32_t xid = one->xid;
	wm_lsn done = one->done;

	drop(p, all, one);
	return named ? remove_file(p, xid, done, err) : WM_OK;
}

size_t
wm_prepared_count(const struct wm_prepareds *p)
{
	return HASH_COUNT(p->list) - p->committed;
}

void
wm_prepared_free(struct wm_prepareds *p, struct wm_spools *all)
{
	struct wm_prepared *one, *tmp;

	HASH_ITER(hh, p->list, one, tmp)
		drop(p, all, one);
	wm_spool_free(all, p->current);
	p->current = NULL;
}

/* ---- files of before ---- */

static enum wm_status
read_label(const char *path, struct label *ret, struct wm_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	bool whole;

	if (fd < 0)
		return wm_fail(err, WM_RETRY, "could not open \"%s\", a prepared transaction: %s",
		    path, strerror(errno));
	whole = read(fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret) && fstat(fd, &st) == 0 && ret->magic == MAGIC &&
	    ret->end >= WM_SPOOL_LABEL && (uint64_t)st.st_size == ret->end &&
	    memchr(ret->gid, 0, sizeof(ret->gid)) != NULL && memchr(ret->identity, 0, sizeof(ret->identity)) != NULL;
	close(fd);
	if (whole)
		return WM_OK;
	return wm_fail(err, WM_OPERATOR,
	    "\"%s\", which holds a prepared transaction, is damaged: put it back from a backup; or remove it, and if "
	    "its transaction is committed, run `walmill teardown` and start again to seed anew",
	    path);
}

static enum wm_status
load_file(struct wm_prepareds *p, struct wm_spools *all, uint32_t xid, wm_lsn done, wm_lsn start, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = path_of(p, xid, done);
	struct label label;
	struct wm_prepared *one;
	enum wm_status st = path == NULL ? wm_oom(err, "a path") : WM_OK;

	if (st == WM_OK && done != 0 && done <= start)
		return remove_file(p, xid, done, err);
	if (st == WM_OK)
		st = read_label(path, &label, err);
	if (st != WM_OK)
		return st;
	if (strcmp(label.identity, p->identity) != 0) {
		wm_log(WM_LOG_INFO, "prepared_dropped",
		    "a transaction that was prepared as \"%s\" came through another slot, which is gone: its file is removed",
		    label.gid);
		return remove_file(p, xid, done, err);
	}
	/* An operator has put one back, beside one that was committed and could not be read. */
	one = find(p, xid);
	if (one != NULL && done != 0)
		return remove_file(p, xid, done, err);
	if (one != NULL)
		st = forget(p, all, one, err);
	one = st == WM_OK ? add(p, xid, label.gid, err) : NULL;
	if (one == NULL)
		return err->status;
	one->end = (long)label.end;
	one->done = done;
	all->bytes += label.end - WM_SPOOL_LABEL;
	return WM_OK;
}

enum wm_status
wm_prepared_load(struct wm_prepareds *p, struct wm_spools *all, wm_lsn start, struct wm_error *err)
{
	DIR *dir = opendir(p->folder);
	enum wm_status st = WM_OK;
	const struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? WM_OK : file_failed(p, "look for", err);
	while (st == WM_OK && (entry = readdir(dir)) != NULL) {
		uint32_t xid;
		wm_lsn done;

		if (parse_name(entry->d_name, &xid, &done))
			st = load_file(p, all, xid, done, start, err);
	}
	closedir(dir);
	/* A process that died may have given names that are not durable. */
	p->renamed |= p->list != NULL;
	return st == WM_OK ? wm_prepared_settle(p, err) : st;
}

enum wm_status
wm_prepared_delete(const char *folder, struct wm_error *err)
{
	struct wm_prepareds p = { .folder = folder };
	DIR *dir = opendir(folder);
	enum wm_status st = WM_OK;
	const struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? WM_OK : file_failed(&p, "look for", err);
	while (st == WM_OK && (entry = readdir(dir)) != NULL) {
		uint32_t xid;
		wm_lsn done;

		if (parse_name(entry->d_name, &xid, &done))
			st = remove_file(&p, xid, done, err);
	}
	closedir(dir);
	/* Others' files may be there, too. */
	if (st == WM_OK && rmdir(folder) != 0 && errno != ENOTEMPTY && errno != EEXIST)
		st = file_failed(&p, "delete the folder of", err);
	return st;
}

/* ---- messages ---- */

static enum wm_status
malformed(const char *what, struct wm_error *err)
{
	return wm_fail(err, WM_FATAL, "the server sent a malformed %s of a prepared transaction", what);
}

bool
wm_prepared_read_names(struct wm_reader *r, size_t skip, uint32_t *ret_xid, const char **ret_gid)
{
	(void)wm_reader_bytes(r, skip);
	*ret_xid = wm_reader_u32(r);
	*ret_gid = wm_reader_str(r);
	return !r->bad && wm_reader_left(r) == 0;
}

enum wm_status
wm_prepared_begin(struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r, struct wm_error *err)
{
	uint32_t xid;
	const char *gid;
	enum wm_status st;

	/* Position, end and time of the PREPARE come again. */
	if (!wm_prepared_read_names(r, 3 * 8, &xid, &gid) || p->current != NULL || strlen(gid) >= sizeof(p->gid))
		return malformed("begin", err);
	st = wm_spool_new(all, xid, &p->current, err);
	if (st != WM_OK)
		return st;
	p->current->prepared = true;
	p->file++;
	snprintf(p->gid, sizeof(p->gid), "%s", gid);
	return WM_OK;
}

/* The file must be understood alone: the commit may come in another session. */
static enum wm_status
add_descriptions(struct wm_prepareds *p, struct wm_spools *all, const struct wm_relations *sent, wm_lsn lsn,
    const uint8_t *msg, size_t len, struct wm_error *err)
{
	struct wm_changed c = wm_changed_begin(msg, len);
	enum wm_status st = WM_OK;
	uint32_t oid;

	while (st == WM_OK && wm_changed_next(&c, &oid)) {
		struct wm_described *d = wm_relations_find(sent, oid);

		if (d == NULL || d->file == p->file)
			continue;
		st = wm_spool_add(all, p->current, lsn, 'R', d->message.data + 1, d->message.len - 1, err);
		d->file = p->file;
	}
	return st;
}

enum wm_status
wm_prepared_message(struct wm_prepareds *p, struct wm_spools *all, struct wm_relations *sent, wm_lsn lsn,
    const uint8_t *msg, size_t len, struct wm_error *err)
{
	struct wm_described *d = NULL;
	enum wm_status st = WM_OK;

	if (*msg == 'O')
		return WM_OK;		/* where it came from is of no concern */
	if (memchr("RYIUDTM", *msg, 7) == NULL)
		return malformed("message", err);
	if (*msg == 'R')
		st = wm_relations_note(sent, msg, len, true, &d, err);
	else
		st = add_descriptions(p, all, sent, lsn, msg, len, err);
	if (d != NULL)
		d->file = p->file;
	return st == WM_OK ? wm_spool_add(all, p->current, lsn, *msg, msg + 1, len - 1, err) : st;
}

enum wm_status
wm_prepared_adopt(struct wm_prepareds *p, struct wm_spools *all, struct wm_spool *spool, const char *gid,
    struct wm_error *err)
{
	struct wm_prepared *one = find(p, spool->xid);
	enum wm_status st = WM_OK;

	/* It comes again: what was kept has not been acknowledged. */
	if (one != NULL)
		st = forget(p, all, one, err);
	one = st == WM_OK ? add(p, spool->xid, gid, err) : NULL;
	if (one == NULL) {
		wm_spool_free(all, spool);
		return err->status;
	}
	spool->prepared = true;
	one->spool = spool;
	one->end = spool->end;
	p->unsynced++;
	return WM_OK;
}

enum wm_status
wm_prepared_end(struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r, struct wm_error *err)
{
	struct wm_spool *spool = p->current;
	uint32_t xid;
	const char *gid;

	if (!wm_prepared_read_names(r, WM_PREPARE_SKIP, &xid, &gid) || spool == NULL ||
	    xid != spool->xid || strcmp(gid, p->gid) != 0)
		return malformed("end", err);
	p->current = NULL;
	return wm_prepared_adopt(p, all, spool, gid, err);
}

enum wm_status
wm_prepared_rollback(struct wm_prepareds *p, struct wm_spools *all, struct wm_reader *r, uint32_t *ret_xid,
    struct wm_error *err)
{
	struct wm_prepared *one;
	const char *gid;

	/* Flags, unused; ends and times of PREPARE and ROLLBACK. */
	if (!wm_prepared_read_names(r, 1 + 4 * 8, ret_xid, &gid) || p->current != NULL)
		return malformed("rollback", err);
	one = find(p, *ret_xid);
	/* One that was prepared before the slot sent such transactions never came. */
	return one != NULL && strcmp(one->gid, gid) == 0 ? forget(p, all, one, err) : WM_OK;
}

/* From here on a session that begins behind end does without the file. */
static enum wm_status
name_done(struct wm_prepareds *p, struct wm_prepared *one, wm_lsn end, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *from = path_of(p, one->xid, one->done);
	WM_AUTO(wm_freep) char *to = path_of(p, one->xid, end);

	if (from == NULL || to == NULL)
		return wm_oom(err, "a path");
	if (one->done == end)
		return WM_OK;
	if (rename(from, to) != 0 && errno != ENOENT)
		return file_failed(p, "rename", err);
	one->done = end;
	p->renamed = true;
	WM_FAULT(prepared_done);
	return WM_OK;
}

enum wm_status
wm_prepared_commit(struct wm_prepareds *p, struct wm_spools *all, uint32_t xid, const char *gid, wm_lsn end,
    struct wm_spool **ret, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = path_of(p, xid, end);
	struct wm_prepared *one = find(p, xid);
	enum wm_status st;

	*ret = NULL;
	if (path == NULL)
		return wm_oom(err, "a path");
	if (one == NULL || strcmp(one->gid, gid) != 0)
		return WM_OK;
	if (one->spool != NULL) {
		/* Nothing relied on it: the position has not moved past it. */
		*ret = one->spool;
		one->spool = NULL;
		one->end = WM_SPOOL_LABEL;
		p->unsynced--;
		drop(p, all, one);
		return WM_OK;
	}
	st = name_done(p, one, end, err);
	if (st == WM_OK)
		st = wm_spool_open(all, path, ret, err);
	if (st != WM_OK || *ret == NULL)
		return st;
	(*ret)->xid = xid;
	(*ret)->end = one->end;
	p->committed += !one->committed;
	one->committed = true;
	return WM_OK;
}

/* ---- durability ---- */

static enum wm_status
make_folder(const struct wm_prepareds *p, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *above = strdup(p->folder);
	enum wm_status st = above == NULL ? wm_oom(err, "a path") : wm_folder_make(p->folder, err);
	char *slash;

	/* Its own name, and that of the one above it. */
	for (int i = 0; st == WM_OK && i < 2 && (slash = strrchr(above, '/')) != NULL; i++) {
		*slash = '\0';
		if (above[0] != '\0' && !wm_folder_sync(above))
			st = file_failed(p, "make a folder for", err);
	}
	return st;
}

/* Gives the file its name, which says that all of it is durable. */
static enum wm_status
name_file(struct wm_prepareds *p, struct wm_prepared *one, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = path_of(p, one->xid, 0);
	char self[40];

	if (path == NULL)
		return wm_oom(err, "a path");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fileno(one->spool->file));
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return WM_OK;
	/* One of before that nobody waits for any more. */
	if (errno == EEXIST && unlink(path) == 0 && linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0)
		return WM_OK;
	return file_failed(p, "name", err);
}

static enum wm_status
sync_file(struct wm_prepareds *p, struct wm_spools *all, struct wm_prepared *one, struct wm_error *err)
{
	struct wm_spool *s = one->spool;
	struct label label = { .magic = MAGIC, .end = (uint64_t)s->end, .xid = one->xid };
	enum wm_status st;

	memcpy(label.gid, one->gid, sizeof(label.gid));
	snprintf(label.identity, sizeof(label.identity), "%s", p->identity);
	WM_FAULT(prepared_written);
	if (fflush(s->file) != 0 || pwrite(fileno(s->file), &label, sizeof(label), 0) != (ssize_t)sizeof(label) ||
	    ftruncate(fileno(s->file), s->end) != 0 || fsync(fileno(s->file)) != 0)
		return wm_spool_failed(all, s, "write", err);
	WM_FAULT(prepared_synced);
	st = name_file(p, one, err);
	if (st != WM_OK)
		return st;
	WM_FAULT(prepared_named);
	one->spool = NULL;
	p->unsynced--;
	/* It goes on to count, by its name. */
	all->bytes += s->bytes;
	wm_spool_free(all, s);
	return WM_OK;
}

enum wm_status
wm_prepared_sync(struct wm_prepareds *p, struct wm_spools *all, struct wm_error *err)
{
	struct wm_prepared *one, *tmp;
	enum wm_status st = WM_OK;

	if (p->unsynced == 0)
		return WM_OK;
	if (access(p->folder, F_OK) != 0)
		st = make_folder(p, err);
	HASH_ITER(hh, p->list, one, tmp)
		if (st == WM_OK && one->spool != NULL)
			st = sync_file(p, all, one, err);
	if (st == WM_OK) {
		p->renamed = true;
		st = wm_prepared_settle(p, err);
	}
	WM_FAULT(prepared_kept);
	return st;
}

enum wm_status
wm_prepared_settle(struct wm_prepareds *p, struct wm_error *err)
{
	if (p->renamed && !wm_folder_sync(p->folder))
		return file_failed(p, "make durable", err);
	p->renamed = false;
	return WM_OK;
}

enum wm_status
wm_prepared_passed(struct wm_prepareds *p, struct wm_spools *all, wm_lsn lsn, struct wm_error *err)
{
	struct wm_prepared *one, *tmp;
	enum wm_status st = WM_OK;

	if (p->committed == 0)
		return WM_OK;
	HASH_ITER(hh, p->list, one, tmp)
		if (st == WM_OK && one->committed && one->done <= lsn)
			st = forget(p, all, one, err);
	return st;
}
