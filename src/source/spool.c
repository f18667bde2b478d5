/* SPDX-License-Identifier: PostgreSQL */
/*
 * spool.c - files with the messages of transactions that the journal has to wait for.
 */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "walmill/compiler.h"

#define FILE_BUFFER (256U << 10)

/* In front of each message. */
struct head {
	wm_lsn		lsn;
	uint32_t	len, crc;
};

static const char *
what_it_is(const struct wm_spool *s)
{
	return s != NULL && s->prepared ? "a prepared" : "an open";
}

enum wm_status
wm_spool_failed(struct wm_spools *all, const struct wm_spool *s, const char *what, struct wm_error *err)
{
	all->failed = true;
	return wm_fail(err, WM_RETRY, "could not %s a file for %s transaction in \"%s\": %s", what, what_it_is(s),
	    all->folder, strerror(errno));
}

/* Takes the descriptor over, also when it fails. */
static enum wm_status
spool_of(int fd, struct wm_spool **ret, struct wm_error *err)
{
	struct wm_spool *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->file = fdopen(fd, "w+");
	if (s == NULL || s->file == NULL) {
		close(fd);
		free(s);
		return wm_oom(err, "a transaction's file");
	}
	/* A smaller buffer does as well. */
	(void)setvbuf(s->file, NULL, _IOFBF, FILE_BUFFER);
	s->end = WM_SPOOL_LABEL;
	*ret = s;
	return WM_OK;
}

enum wm_status
wm_spool_new(struct wm_spools *all, uint32_t xid, struct wm_spool **ret, struct wm_error *err)
{
	int fd = open(all->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct wm_spool *s = NULL;
	enum wm_status st;

	if (fd < 0)
		return wm_spool_failed(all, NULL, "make", err);
	st = spool_of(fd, &s, err);
	if (st != WM_OK)
		return st;
	s->xid = xid;
	if (fseek(s->file, WM_SPOOL_LABEL, SEEK_SET) != 0) {
		st = wm_spool_failed(all, s, "write", err);
		wm_spool_free(all, s);
		return st;
	}
	*ret = s;
	return WM_OK;
}

enum wm_status
wm_spool_open(struct wm_spools *all, const char *path, struct wm_spool **ret, struct wm_error *err)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct wm_spool *s = NULL;
	enum wm_status st;

	if (fd < 0 && errno == ENOENT) {
		*ret = NULL;
		return WM_OK;
	}
	if (fd < 0)
		return wm_fail(err, WM_RETRY, "could not open \"%s\", a prepared transaction: %s",
		    path, strerror(errno));
	st = spool_of(fd, &s, err);
	if (st != WM_OK)
		return st;
	s->prepared = true;
	s->path = strdup(path);
	if (s->path == NULL) {
		wm_spool_free(all, s);
		return wm_oom(err, "a path");
	}
	*ret = s;
	return WM_OK;
}

void
wm_spool_free(struct wm_spools *all, struct wm_spool *s)
{
	if (s == NULL)
		return;
	all->bytes -= s->bytes;
	fclose(s->file);
	free(s->path);
	free(s);
}

static enum wm_status
no_room(struct wm_spools *all, const struct wm_spool *s, struct wm_error *err)
{
	all->failed = true;
	if (!s->prepared)
		return wm_fail(err, WM_RETRY,
		    "open transactions take more than the %" PRIu64 " bytes that the journal may", all->max_bytes);
	/* The server does not take it back once it is acknowledged. */
	return wm_fail(err, WM_RETRY,
	    "prepared transactions take more than the %" PRIu64 " bytes that the journal may: the stream waits before "
	    "transaction %" PRIu32 ", and the server keeps its WAL; raise `journal: max_bytes` and start again",
	    all->max_bytes, s->xid);
}

enum wm_status
wm_spool_add(struct wm_spools *all, struct wm_spool *s, wm_lsn lsn, uint8_t tag, const void *rest, size_t len,
    struct wm_error *err)
{
	struct head head = { .lsn = lsn, .len = (uint32_t)len + 1 };
	uint64_t size = sizeof(head) + head.len;

	all->failed = all->bytes + size > all->max_bytes;
	if (all->failed)
		return no_room(all, s, err);
	head.crc = (uint32_t)crc32(0, &tag, 1);
	if (len > 0)
		head.crc = (uint32_t)crc32(head.crc, rest, (uInt)len);
	if (fwrite(&head, sizeof(head), 1, s->file) != 1 || fputc(tag, s->file) == EOF ||
	    (len > 0 && fwrite(rest, len, 1, s->file) != 1))
		return wm_spool_failed(all, s, "write", err);
	s->end += (long)size;
	s->bytes += size;
	all->bytes += size;
	return WM_OK;
}

enum wm_status
wm_spool_rewind(struct wm_spools *all, struct wm_spool *s, struct wm_error *err)
{
	return fseek(s->file, WM_SPOOL_LABEL, SEEK_SET) == 0 ? WM_OK : wm_spool_failed(all, s, "read", err);
}

bool
wm_spool_at_end(const struct wm_spool *s)
{
	return ftell(s->file) >= s->end;
}

static enum wm_status
damaged(struct wm_spools *all, const struct wm_spool *s, struct wm_error *err)
{
	all->failed = true;
	if (s->path == NULL)
		return wm_fail(err, WM_RETRY,
		    "the file of %s transaction, %" PRIu32 ", in \"%s\" is damaged", what_it_is(s),
		    s->xid, all->folder);
	return wm_fail(err, WM_OPERATOR,
	    "\"%s\", which holds a prepared transaction, is damaged, and the server does not send it again: put it back "
	    "from a backup, or run `walmill teardown` and start again to seed anew",
	    s->path);
}

/* The message at the file's position. */
static enum wm_status
read_message(struct wm_spools *all, struct wm_spool *s, struct head *ret_head, struct wm_buf *ret, struct wm_error *err)
{
	char *room;

	if (fread(ret_head, sizeof(*ret_head), 1, s->file) != 1)
		return wm_spool_failed(all, s, "read", err);
	wm_buf_reset(ret);
	room = ret_head->len > s->end ? NULL : wm_buf_reserve(ret, ret_head->len);
	if (room == NULL && ret_head->len <= s->end)
		return wm_oom(err, "a message of a transaction");
	if (room != NULL && fread(room, ret_head->len, 1, s->file) != 1)
		return wm_spool_failed(all, s, "read", err);
	if (room == NULL || ret_head->crc != crc32(0, (const Bytef *)room, ret_head->len))
		return damaged(all, s, err);
	ret->len = ret_head->len;
	return WM_OK;
}

enum wm_status
wm_spool_read(struct wm_spools *all, struct wm_spool *s, wm_lsn *ret_lsn, struct wm_buf *ret, struct wm_error *err)
{
	struct head head;
	enum wm_status st = read_message(all, s, &head, ret, err);

	if (st == WM_OK)
		*ret_lsn = head.lsn;
	return st;
}

enum wm_status
wm_spool_cut(struct wm_spools *all, struct wm_spool *s, long place, struct wm_error *err)
{
	WM_AUTO(wm_buf_free) struct wm_buf kept, message;
	long left = s->end - place;
	uint64_t gone;

	wm_buf_init(&kept, WM_SPOOL_MESSAGE_MAX);
	wm_buf_init(&message, WM_SPOOL_MESSAGE_MAX);
	if (fseek(s->file, place, SEEK_SET) != 0)
		return wm_spool_failed(all, s, "read", err);
	while (left > 0) {
		struct head head;
		enum wm_status st = read_message(all, s, &head, &message, err);

		if (st != WM_OK)
			return st;
		left -= (long)(sizeof(head) + head.len);
		if (message.data[0] != 'R' && message.data[0] != 'Y')
			continue;
		wm_buf_add(&kept, &head, sizeof(head));
		wm_buf_add(&kept, message.data, message.len);
	}
	if (kept.failed)
		return wm_oom(err, "descriptions of relations");
	if (fseek(s->file, place, SEEK_SET) != 0 || (kept.len > 0 && fwrite(kept.data, kept.len, 1, s->file) != 1) ||
	    fflush(s->file) != 0 || ftruncate(fileno(s->file), place + (long)kept.len) != 0)
		return wm_spool_failed(all, s, "write", err);
	gone = (uint64_t)(s->end - place) - kept.len;
	s->end = place + (long)kept.len;
	s->bytes -= gone;
	all->bytes -= gone;
	return WM_OK;
}
