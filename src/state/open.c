/* SPDX-License-Identifier: PostgreSQL */
/*
 * open.c - the state folder, its lock, and opening walmill.db.
 *
 * The lock is flock on STATE/lock, so the kernel drops it with the process, however it ends.
 * The file is never removed: a process that waits on the old one would not see the new one.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/fault.h"
#include "walmill/folder.h"
#include "walmill/strutil.h"

#define APPLICATION_ID 0x574d494c	/* "WMIL" */
#define BUSY_MS 10000

static enum wm_status
lock_folder(const char *folder, int *ret_fd, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/lock", folder);
	char pid[32] = "";
	int fd;

	if (path == NULL)
		return wm_oom(err, "the lock file's name");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not open lock file \"%s\": %s; "
		    "the state folder must be writable by this user", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

		pid[n < 0 ? 0 : n] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		close(fd);
		return wm_fail(err, WM_FATAL, "state folder \"%s\" is in use by another walmill (process %s); "
		    "stop that one, or give this one a state folder of its own", folder,
		    pid[0] == '\0' ? "unknown" : pid);
	}
	snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, strlen(pid), 0) != (ssize_t)strlen(pid)) {
		int e = errno;

		close(fd);
		return wm_fail(err, WM_FATAL, "could not write lock file \"%s\": %s", path, strerror(e));
	}
	WM_FAULT(state_locked);
	*ret_fd = fd;
	return WM_OK;
}

/* SQLite would make it 0644; -wal and -shm take the mode of the database. */
static enum wm_status
make_file(const char *path, struct wm_error *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not open state file \"%s\": %s; it must be writable by this user",
		    path, strerror(errno));
	close(fd);
	WM_FAULT(state_file_made);
	return WM_OK;
}

static enum wm_status
pragma(struct wm_state *s, const char *name, int64_t *ret, struct wm_error *err)
{
	sqlite3_stmt *stmt = NULL;
	char sql[64];
	bool row = false;
	enum wm_status status;

	snprintf(sql, sizeof(sql), "PRAGMA %s", name);
	if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return wm_state_fail(s, "read its format", err);
	status = wm_state_step(s, stmt, "read its format", &row, err);
	if (status == WM_OK)
		*ret = row ? sqlite3_column_int64(stmt, 0) : 0;
	sqlite3_finalize(stmt);
	return status;
}

/* Each step and its number together, so that a crash leaves a file of one format. */
static enum wm_status
upgrade(struct wm_state *s, int64_t version, struct wm_error *err)
{
	for (; version < WM_STATE_FORMAT; version++) {
		WM_AUTO(wm_freep) char *sql = wm_asprintf(
		    "BEGIN IMMEDIATE; PRAGMA application_id = %d; %s PRAGMA user_version = %d; COMMIT", APPLICATION_ID,
		    wm_state_steps[version], (int)version + 1);

		if (sql == NULL)
			return wm_oom(err, "the state's tables");
		if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK) {
			enum wm_status status = wm_state_fail(s, "make its tables", err);

			sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
			return status;
		}
		WM_FAULT(state_upgraded);
	}
	return WM_OK;
}

static enum wm_status
check_format(struct wm_state *s, bool readonly, struct wm_error *err)
{
	int64_t version, application, schema;
	enum wm_status status;
	bool empty;

	if ((status = pragma(s, "user_version", &version, err)) != WM_OK ||
	    (status = pragma(s, "application_id", &application, err)) != WM_OK ||
	    (status = pragma(s, "schema_version", &schema, err)) != WM_OK)
		return status;
	empty = version == 0 && application == 0 && schema == 0;
	if (empty && readonly)
		return wm_fail(err, WM_FATAL, "state file \"%s\" is empty: no walmill has run with it", s->path);
	if (!empty && application != APPLICATION_ID)
		return wm_fail(err, WM_FATAL, "\"%s\" is not a state file of walmill; give another state folder",
		    s->path);
	if (version > WM_STATE_FORMAT)
		return wm_fail(err, WM_FATAL, "state file \"%s\" was written by a newer walmill (format %lld, this one "
		    "knows %d); install that version again", s->path, (long long)version, WM_STATE_FORMAT);
	if (readonly && version < WM_STATE_FORMAT)
		return wm_fail(err, WM_FATAL,
		    "state file \"%s\" was written by an older walmill (format %lld, this one "
		    "writes %d); start the daemon of this version once",
		    s->path, (long long)version, WM_STATE_FORMAT);
	return upgrade(s, version, err);
}

static enum wm_status
open_file(struct wm_state *s, bool readonly, struct wm_error *err)
{
	static const char settings[] =
	    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
	    "PRAGMA trusted_schema = OFF;";
	int flags = readonly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	enum wm_status status;

	if (sqlite3_open_v2(s->path, &s->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
		return s->db == NULL ? wm_oom(err, "the state file") : wm_state_fail(s, "open it", err);
	sqlite3_extended_result_codes(s->db, 1);
	sqlite3_busy_timeout(s->db, BUSY_MS);
	if (!readonly && sqlite3_exec(s->db, settings, NULL, NULL, NULL) != SQLITE_OK)
		return wm_state_fail(s, "set it up", err);
	if ((status = check_format(s, readonly, err)) != WM_OK)
		return status;
	return wm_state_prepare(s, err);
}

static void
closep(struct wm_state **s)
{
	wm_state_close(*s);
}

static struct wm_state *
allocate(const char *folder)
{
	struct wm_state *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	pthread_mutex_init(&s->mutex, NULL);
	s->lock_fd = -1;
	if ((s->path = wm_asprintf("%s/walmill.db", folder)) == NULL) {
		wm_state_close(s);
		return NULL;
	}
	return s;
}

enum wm_status
wm_state_open(const char *folder, struct wm_state **ret, struct wm_error *err)
{
	WM_AUTO(closep) struct wm_state *s = allocate(folder);
	enum wm_status status;

	if (s == NULL)
		return wm_oom(err, "the state");
	if ((status = wm_folder_make(folder, err)) != WM_OK ||
	    (status = lock_folder(folder, &s->lock_fd, err)) != WM_OK ||
	    (status = make_file(s->path, err)) != WM_OK ||
	    (status = open_file(s, false, err)) != WM_OK)
		return status;
	*ret = s;
	s = NULL;
	return WM_OK;
}

enum wm_status
wm_state_open_readonly(const char *folder, struct wm_state **ret, struct wm_error *err)
{
	WM_AUTO(closep) struct wm_state *s = allocate(folder);
	enum wm_status status;

	if (s == NULL)
		return wm_oom(err, "the state");
	if (access(s->path, R_OK) != 0)
		return wm_fail(err, WM_FATAL, "could not read state file \"%s\": %s", s->path, strerror(errno));
	if ((status = open_file(s, true, err)) != WM_OK)
		return status;
	*ret = s;
	s = NULL;
	return WM_OK;
}

void
wm_state_close(struct wm_state *s)
{
	if (s == NULL)
		return;
	for (int i = 0; i < WM_STMT_COUNT; i++)
		sqlite3_finalize(s->stmts[i]);
	sqlite3_close(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s);
}

char *
wm_state_folder(const struct wm_state *s)
{
	return strndup(s->path, (size_t)(strrchr(s->path, '/') - s->path));
}
