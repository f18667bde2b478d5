/* SPDX-License-Identifier: PostgreSQL */
/*
 * log.c - one line a message on stderr.
 *
 * Everything variable passes through wm_text_vline before it is cut or escaped.  A line is
 * one write(), so that lines of several processes on one stderr do not mix.
 */
#include "walmill/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "text.h"
#include "walmill/buf.h"
#include "walmill/clock.h"
#include "walmill/strutil.h"

#define MESSAGE_MAX ((size_t)16 * 1024)
/* Escaped as JSON a byte takes six at most. */
#define LINE_MAX_BYTES (8 * MESSAGE_MAX)

#define CLEAR_LINE "\r\033[K"

static const struct {
	const char	*text;		/* as wide as each other */
	const char	*json;
	int		 priority;	/* syslog's */
} levels[] = {
	[WM_LOG_ERROR] = { "ERROR", "error", 3 },
	[WM_LOG_WARNING] = { "WARN ", "warning", 4 },
	[WM_LOG_INFO] = { "INFO ", "info", 6 },
	[WM_LOG_DEBUG] = { "DEBUG", "debug", 7 },
};

static atomic_int max_level = WM_LOG_INFO;

static struct {
	pthread_mutex_t		 lock;		/* guards everything below; orders lines */
	enum wm_log_format	 format;
	bool			 looked;	/* journal is known */
	bool			 journal;	/* stderr goes to systemd's journal */
	void			(*progress)(void *arg);
	void			*progress_arg;
} state = { .lock = PTHREAD_MUTEX_INITIALIZER };

static _Thread_local struct {
	const char *kind, *name;
} context;

/* systemd names the socket's device and inode, because stderr may be redirected later. */
static bool
stderr_is_journal(void)
{
	const char *env = getenv("JOURNAL_STREAM");
	WM_AUTO(wm_freep) char *ours = NULL;
	struct stat st;

	if (env == NULL || fstat(STDERR_FILENO, &st) != 0)
		return false;
	ours = wm_asprintf("%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return ours != NULL && strcmp(env, ours) == 0;
}

void
wm_log_setup(enum wm_log_format format, enum wm_log_level level)
{
	pthread_mutex_lock(&state.lock);
	state.format = format;
	state.journal = stderr_is_journal();
	state.looked = true;
	pthread_mutex_unlock(&state.lock);
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

enum wm_log_level
wm_log_level(void)
{
	return (enum wm_log_level)atomic_load_explicit(&max_level, memory_order_relaxed);
}

void
wm_log_context(const char *kind, const char *name)
{
	context.kind = kind;
	context.name = name;
}

static void
add_json_line(struct wm_buf *b, enum wm_log_level level, const char *event, const char *message,
    const char *name)
{
	char now[32];

	wm_buf_addf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":",
	    wm_clock_format(wm_clock_wall(), now, sizeof(now)), levels[level].json);
	(void)wm_buf_add_json(b, event, strlen(event));
	wm_buf_adds(b, ",\"message\":");
	(void)wm_buf_add_json(b, message, strlen(message));
	if (name != NULL) {
		wm_buf_addc(b, ',');
		(void)wm_buf_add_json(b, context.kind, strlen(context.kind));
		wm_buf_addc(b, ':');
		(void)wm_buf_add_json(b, name, strlen(name));
	}
	wm_buf_adds(b, "}\n");
}

static void
add_text_line(struct wm_buf *b, enum wm_log_level level, const char *event, const char *message,
    const char *name)
{
	char now[32];

	/* The journal has its own time and shows the priority. */
	if (!state.journal) {
		wm_clock_format(wm_clock_wall(), now, sizeof(now));
		now[strlen(now) - strlen("456Z")] = '\0';
		wm_buf_addf(b, "%sZ %s ", now, levels[level].text);
	}
	wm_buf_addf(b, "%s: %s", event, message);
	if (name != NULL)
		wm_buf_addf(b, " (%s %s)", context.kind, name);
	wm_buf_addc(b, '\n');
}

/* There is nowhere to report a failure to. */
static void
write_all(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

static void
put(enum wm_log_level level, const char *event, const char *message, const char *name)
{
	static const char lost[] = "walmill: out of memory for a log message\n";
	WM_AUTO(wm_buf_free) struct wm_buf b;

	wm_buf_init(&b, LINE_MAX_BYTES);
	pthread_mutex_lock(&state.lock);
	if (!state.looked) {
		state.journal = stderr_is_journal();
		state.looked = true;
	}
	if (state.progress != NULL)
		wm_buf_adds(&b, CLEAR_LINE);
	if (state.journal)
		wm_buf_addf(&b, "<%d>", levels[level].priority);
	if (state.format == WM_LOG_JSON)
		add_json_line(&b, level, event, message, name);
	else
		add_text_line(&b, level, event, message, name);
	if (b.failed)
		write_all(lost, sizeof(lost) - 1);
	else
		write_all(b.data, b.len);
	if (state.progress != NULL)
		state.progress(state.progress_arg);
	pthread_mutex_unlock(&state.lock);
}

static char *WM_PRINTF(1, 2)
line(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = wm_text_vline(fmt, ap);
	va_end(ap);
	return s;
}

void
wm_log(enum wm_log_level level, const char *event, const char *fmt, ...)
{
	WM_AUTO(wm_freep) char *message = NULL;
	WM_AUTO(wm_freep) char *name = NULL;
	int saved = errno;
	va_list ap;

	if (level > wm_log_level())
		return;
	va_start(ap, fmt);
	message = wm_text_vline(fmt, ap);
	va_end(ap);
	if (message != NULL)
		message[wm_text_cut(message, MESSAGE_MAX)] = '\0';
	if (context.kind != NULL && context.name != NULL)
		name = line("%s", context.name);
	put(level, event, message != NULL ? message : "(out of memory for this message)", name);
	errno = saved;
}

void
wm_log_progress(void (*fn)(void *arg), void *arg)
{
	pthread_mutex_lock(&state.lock);
	if (isatty(STDERR_FILENO) == 1) {
		if (fn == NULL && state.progress != NULL)
			write_all(CLEAR_LINE, sizeof(CLEAR_LINE) - 1);
		state.progress = fn;
		state.progress_arg = arg;
		if (fn != NULL)
			fn(arg);
	}
	pthread_mutex_unlock(&state.lock);
}
