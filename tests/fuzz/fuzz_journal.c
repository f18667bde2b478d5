/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_journal.c - recovery of a journal's last file, whatever is in it.
 *
 * The first byte's lowest bit says whether checksums are put right first: what a disk does is found by them, and behind
 * them are the lengths that readers trust.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz.h"
#include "walmill/journal.h"
#include "walmill/log.h"

#define HEAD_COUNTED 16		/* magic, length, CRC: see src/journal/file.c */

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static void
put_crc(uint8_t *to, const uint8_t *bytes, size_t len)
{
	const uint64_t number = 1;
	uLong crc = crc32_z(0, (const Bytef *)&number, sizeof(number));
	uint32_t v = (uint32_t)crc32_z(crc, bytes, len);

	memcpy(to, &v, sizeof(v));
}

static void
mend(uint8_t *bytes, size_t size)
{
	size_t at;

	if (size < HEAD_COUNTED || get32(bytes + 8) > size - HEAD_COUNTED)
		return;
	at = HEAD_COUNTED + get32(bytes + 8);
	put_crc(bytes + 12, bytes + HEAD_COUNTED, at - HEAD_COUNTED);
	while (size - at >= 8 && get32(bytes + at) <= size - at - 8) {
		size_t len = get32(bytes + at);

		put_crc(bytes + at + 4, bytes + at + 8, len);
		at += 8 + len;
	}
}

static const char *
folder(void)
{
	static char name[] = "/dev/shm/wm-fuzz-XXXXXX";
	static bool made;

	require(made || mkdtemp(name) != NULL);
	made = true;
	return name;
}

static void
remove_folder(void)
{
	struct wm_error err;

	require(wm_journal_delete(folder(), &err) == WM_OK);
}

static void
store(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	char path[64];
	int fd;

	require(bytes != NULL);
	memcpy(bytes, data + 1, size - 1);
	if ((data[0] & 1) != 0)
		mend(bytes, size - 1);
	(void)mkdir(folder(), 0700);		/* the last delete took it along */
	snprintf(path, sizeof(path), "%s/%016x", folder(), 1);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	require(fd >= 0 && write(fd, bytes, size - 1) == (ssize_t)size - 1);
	close(fd);
	free(bytes);
}

/* Every byte that is handed out is touched. */
static void
read_all(struct wm_journal *j)
{
	struct wm_journal_reader *r;
	struct wm_error err;
	struct wm_record rec;
	bool found = true;

	require(wm_journal_reader_open(j, 0, &r, &err) == WM_OK);
	while (wm_journal_read(r, &rec, &found, &err) == WM_OK && found)
		for (size_t i = 0; rec.kind == WM_RECORD_MESSAGE && i < rec.len; i++)
			(void)((const volatile uint8_t *)rec.data)[i];
	wm_journal_reader_close(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wm_journal_options o = { .memory = 1 << 20, .max_bytes = 1 << 20 };
	static bool prepared;
	struct wm_journal *j;
	struct wm_error err;

	if (size < 1)
		return 0;
	if (!prepared) {
		wm_log_setup(WM_LOG_TEXT, WM_LOG_ERROR);
		atexit(remove_folder);
		prepared = true;
	}
	o.folder = folder();
	store(data, size);
	/* A damaged file is an error, never a crash. */
	if (wm_journal_open(&o, &j, &err) == WM_OK) {
		read_all(j);
		wm_journal_close(j);
	}
	require(wm_journal_delete(o.folder, &err) == WM_OK);
	return 0;
}
