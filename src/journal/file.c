/* SPDX-License-Identifier: PostgreSQL */
/*
 * file.c - a segment's file.
 *
 *	head	magic, length and CRC of what follows; number of this segment and of the one before, how many bytes
 *		of records that one has, base LSN, whether it begins within a transaction, the relations in force
 *	frame	length and CRC of what follows; records as they are in memory
 *	...
 *
 * Numbers are in this machine's byte order, which the magic shows: a journal does not move between
 * machines.  CRCs are zlib's crc32.  A frame's CRC begins with the segment's number, so that a frame
 * of another file is not taken for one of this.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "walmill/buf.h"
#include "walmill/fault.h"
#include "walmill/folder.h"
#include "walmill/strutil.h"

#define MAGIC UINT64_C(0x314c4e524a4d4c57)
#define HEAD_MAX (1U << 30)
#define FRAME_MAX (UINT32_C(1) << 31)

struct frame {
	uint32_t	len;
	uint32_t	crc;
};

struct head {
	uint64_t	magic;
	uint32_t	len, crc;	/* of all behind */
	uint64_t	number, previous, previous_len, base;
	uint32_t	mid, nrelations;
};

#define HEAD_COUNTED offsetof(struct head, number)

static uint32_t
crc_of(uint64_t number, const void *bytes, size_t len)
{
	uLong crc = crc32_z(0, (const Bytef *)&number, sizeof(number));

	return (uint32_t)crc32_z(crc, bytes, len);
}

char *
file_path(const struct wm_journal *j, uint64_t number)
{
	return wm_asprintf("%s/%016" PRIx64, j->folder, number);
}

static enum wm_status
io_failed(const struct wm_journal *j, uint64_t number, const char *what, struct wm_error *err)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	return wm_fail(err, full ? WM_RETRY : WM_FATAL, "journal file %016" PRIx64 " in \"%s\": could not %s: %s%s",
	    number, j->folder, what, strerror(errno),
	    full ? "; make room on its file system: nothing is acknowledged until then" : "");
}

static enum wm_status
open_file(const struct wm_journal *j, uint64_t number, int flags, int *ret_fd, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = file_path(j, number);
	int fd;

	if (path == NULL)
		return wm_oom(err, "a path");
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return io_failed(j, number, "open it", err);
	*ret_fd = fd;
	return WM_OK;
}

static bool
write_at(int fd, const void *bytes, size_t len, uint64_t at)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			errno = n == 0 ? ENOSPC : errno;
			return false;
		}
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

/* Fewer bytes than asked for: the file's end. */
static ssize_t
read_at(int fd, void *bytes, size_t len, uint64_t at)
{
	char *p = bytes;
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread(fd, p + got, len - got, (off_t)(at + got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* ---- writing ---- */

static void
add_relations(struct wm_buf *b, const struct prelude *p)
{
	for (size_t i = 0; i < p->n; i++) {
		uint32_t len = (uint32_t)p->list[i]->len;

		wm_buf_add(b, &len, sizeof(len));
		wm_buf_add(b, p->list[i]->bytes, len);
	}
}

enum wm_status
file_create(const struct wm_journal *j, const struct segment *s, int *ret_fd, uint64_t *ret_end, struct wm_error *err)
{
	struct head head = { .magic = MAGIC, .number = s->number, .previous = s->previous,
		.previous_len = s->previous_len, .base = s->base, .mid = s->mid,
		.nrelations = (uint32_t)s->prelude.n };
	WM_AUTO(wm_buf_free) struct wm_buf b;
	int fd = -1;
	enum wm_status st;

	wm_buf_init(&b, HEAD_MAX);
	wm_buf_add(&b, &head, sizeof(head));
	add_relations(&b, &s->prelude);
	if (b.failed)
		return wm_oom(err, "a journal file's head");
	head.len = (uint32_t)(b.len - HEAD_COUNTED);
	head.crc = crc_of(s->number, b.data + HEAD_COUNTED, head.len);
	memcpy(b.data, &head, HEAD_COUNTED);
	st = open_file(j, s->number, O_RDWR | O_CREAT | O_TRUNC, &fd, err);
	if (st != WM_OK)
		return st;
	WM_FAULT(journal_file_created);
	if (!write_at(fd, b.data, b.len, 0)) {
		st = io_failed(j, s->number, "write its head", err);
		close(fd);
		return st;
	}
	WM_FAULT(journal_head_written);
	*ret_fd = fd;
	*ret_end = b.len;
	return WM_OK;
}

enum wm_status
file_append(const struct wm_journal *j, int fd, const void *bytes, size_t len, uint64_t *end, struct wm_error *err)
{
	uint64_t number = j->sync.fd_number;
	struct frame f = { .len = (uint32_t)len, .crc = crc_of(number, bytes, len) };
	bool begun = write_at(fd, &f, sizeof(f), *end);

	WM_FAULT(journal_frame_begun);
	if (!begun || !write_at(fd, bytes, len, *end + sizeof(f)))
		return io_failed(j, number, "write to it", err);
	WM_FAULT(journal_frame_written);
	*end += sizeof(f) + len;
	return WM_OK;
}

enum wm_status
file_sync(const struct wm_journal *j, int fd, uint64_t number, struct wm_error *err)
{
	if (fdatasync(fd) != 0)
		return io_failed(j, number, "make it durable", err);
	WM_FAULT(journal_file_synced);
	return WM_OK;
}

enum wm_status
folder_sync(const struct wm_journal *j, struct wm_error *err)
{
	if (!wm_folder_sync(j->folder))
		return wm_fail(err, errno == ENOSPC ? WM_RETRY : WM_FATAL,
		    "journal folder \"%s\": could not make it durable: %s", j->folder, strerror(errno));
	WM_FAULT(journal_folder_synced);
	return WM_OK;
}

enum wm_status
file_delete(const struct wm_journal *j, uint64_t number, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = file_path(j, number);

	if (path == NULL)
		return wm_oom(err, "a path");
	return unlink(path) == 0 || errno == ENOENT ? WM_OK : io_failed(j, number, "delete it", err);
}

enum wm_status
file_cut(const struct wm_journal *j, uint64_t number, uint64_t end, struct wm_error *err)
{
	int fd = -1;
	enum wm_status st = open_file(j, number, O_RDWR, &fd, err);
	bool cut;

	if (st != WM_OK)
		return st;
	cut = ftruncate(fd, (off_t)end) == 0;
	WM_FAULT(journal_end_cut);
	if (!cut || fsync(fd) != 0)
		st = io_failed(j, number, "cut its torn end off", err);
	close(fd);
	return st;
}

/* ---- reading ---- */

static bool
take_relations(struct wm_buf *b, uint32_t n, struct prelude *ret)
{
	size_t at = sizeof(struct head);

	if (n > b->len / sizeof(uint32_t))
		return false;
	ret->list = calloc((size_t)n + 1, sizeof(*ret->list));
	if (ret->list == NULL)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct blob *blob;
		uint32_t len;

		if (b->len - at < sizeof(len))
			return false;
		memcpy(&len, b->data + at, sizeof(len));
		at += sizeof(len);
		if (b->len - at < len || (blob = malloc(sizeof(*blob) + len)) == NULL)
			return false;
		blob->refs = 1;
		blob->len = len;
		memcpy(blob->bytes, b->data + at, len);
		at += len;
		ret->list[ret->n++] = blob;
	}
	return true;
}

/* A file of which the head was read, and found whole. */
struct opened {
	int		fd;
	uint64_t	size;
	struct head	head;
	struct wm_buf	bytes;	/* the head's, relations included */
};

static void
shut(struct opened *f)
{
	if (f->fd >= 0)
		close(f->fd);
	wm_buf_free(&f->bytes);
}

/* WM_REJECT: the head is not whole.  shut() is owed in any case. */
static enum wm_status
open_whole(const struct wm_journal *j, uint64_t number, struct opened *ret, struct wm_error *err)
{
	struct head *head = &ret->head;
	enum wm_status st;
	struct stat info;
	ssize_t got;
	char *p;

	*ret = (struct opened){ .fd = -1 };
	wm_buf_init(&ret->bytes, HEAD_COUNTED + (size_t)HEAD_MAX);
	st = open_file(j, number, O_RDONLY, &ret->fd, err);
	if (st != WM_OK)
		return st;
	got = read_at(ret->fd, head, sizeof(*head), 0);
	if (got < 0 || fstat(ret->fd, &info) != 0)
		return io_failed(j, number, "read it", err);
	ret->size = (uint64_t)info.st_size;
	if (got >= (ssize_t)sizeof(*head) && head->magic == MAGIC && head->number == number &&
	    head->len >= sizeof(*head) - HEAD_COUNTED && head->len <= HEAD_MAX &&
	    HEAD_COUNTED + (uint64_t)head->len <= ret->size) {
		p = wm_buf_reserve(&ret->bytes, HEAD_COUNTED + head->len);
		if (p == NULL)
			return wm_oom(err, "a journal file's head");
		got = read_at(ret->fd, p, HEAD_COUNTED + head->len, 0);
		if (got < 0)
			return io_failed(j, number, "read it", err);
		ret->bytes.len = (size_t)got;
		if (ret->bytes.len == HEAD_COUNTED + head->len &&
		    crc_of(number, ret->bytes.data + HEAD_COUNTED, head->len) == head->crc)
			return WM_OK;
	}
	return wm_fail(err, WM_REJECT, "journal file %016" PRIx64 " in \"%s\" has no whole head", number, j->folder);
}

enum wm_status
file_head(const struct wm_journal *j, uint64_t number, struct segment_head *ret, uint64_t *ret_size,
    struct wm_error *err)
{
	WM_AUTO(shut) struct opened f;
	enum wm_status st = open_whole(j, number, &f, err);

	if (st != WM_OK)
		return st;
	*ret = (struct segment_head){ .number = f.head.number, .previous = f.head.previous,
		.previous_len = (size_t)f.head.previous_len, .base = f.head.base, .mid = f.head.mid != 0 };
	*ret_size = f.size;
	return WM_OK;
}

/* Readers trust lengths: records must fill the frame. */
static bool
holds_records(const uint8_t *bytes, size_t len)
{
	size_t at = 0;

	while (len - at >= sizeof(struct header)) {
		const struct header *h = (const struct header *)(const void *)(bytes + at);

		if (ALIGN8((size_t)h->len) > len - at - sizeof(*h))
			return false;
		at += sizeof(*h) + ALIGN8((size_t)h->len);
	}
	return at == len;
}

/* The frames behind the head, one behind the other without their headers. */
static enum wm_status
read_frames(const struct wm_journal *j, const struct opened *file, uint8_t *bytes, size_t *ret_len, uint64_t *ret_end,
    struct wm_error *err)
{
	uint64_t number = file->head.number, at = file->bytes.len;
	size_t len = 0;

	for (;;) {
		struct frame f;
		ssize_t got = read_at(file->fd, &f, sizeof(f), at);

		if (got < 0)
			return io_failed(j, number, "read it", err);
		if (got < (ssize_t)sizeof(f) || f.len == 0 || f.len > FRAME_MAX || f.len > file->size - at - sizeof(f))
			break;
		got = read_at(file->fd, bytes + len, f.len, at + sizeof(f));
		if (got < 0)
			return io_failed(j, number, "read it", err);
		if ((size_t)got < f.len || crc_of(number, bytes + len, f.len) != f.crc ||
		    !holds_records(bytes + len, f.len))
			break;
		len += f.len;
		at += sizeof(f) + f.len;
	}
	*ret_len = len;
	*ret_end = at;
	return WM_OK;
}

enum wm_status
file_read(const struct wm_journal *j, uint64_t number, struct prelude *ret_prelude, uint8_t **ret_bytes,
    size_t *ret_len, uint64_t *ret_end, struct wm_error *err)
{
	WM_AUTO(shut) struct opened f;
	WM_AUTO(wm_freep) uint8_t *bytes = NULL;
	struct prelude prelude = { 0 };
	enum wm_status st = open_whole(j, number, &f, err);

	if (st == WM_OK && (bytes = malloc((size_t)f.size + 1)) == NULL)
		st = wm_oom(err, "a journal segment");
	if (st == WM_OK && !take_relations(&f.bytes, f.head.nrelations, &prelude))
		st = wm_fail(err, WM_OPERATOR,
		    "journal file %016" PRIx64
		    " in \"%s\": the relations in its head cannot be read",
		    number, j->folder);
	if (st == WM_OK)
		st = read_frames(j, &f, bytes, ret_len, ret_end, err);
	if (st != WM_OK) {
		prelude_free(&prelude);
		return st;
	}
	*ret_prelude = prelude;
	*ret_bytes = bytes;
	bytes = NULL;
	return WM_OK;
}
