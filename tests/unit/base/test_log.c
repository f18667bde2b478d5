/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_log.c - lines on stderr, seen through a pipe or a terminal; secrets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "walmill/log.h"

/* What stands in for stderr: everything written to it is read from `from`. */
struct capture {
	int	saved, from, to;
	char	text[65536];
};

static struct capture cap;

static void
begin(int from, int to)
{
	cap.from = from;
	cap.to = to;
	cap.saved = dup(STDERR_FILENO);
	assert_true(cap.saved >= 0);
	assert_int_equal(dup2(to, STDERR_FILENO), STDERR_FILENO);
}

static void
begin_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	begin(fds[0], fds[1]);
}

/* Reads to the end: nobody has the writing side any more (where a terminal says EIO). */
static const char *
end(void)
{
	size_t len = 0;
	ssize_t n;

	dup2(cap.saved, STDERR_FILENO);
	close(cap.saved);
	close(cap.to);
	while ((n = read(cap.from, cap.text + len, sizeof(cap.text) - 1 - len)) > 0)
		len += (size_t)n;
	cap.text[len] = '\0';
	close(cap.from);
	return cap.text;
}

static int
reset(void **unused WM_UNUSED)
{
	unsetenv("JOURNAL_STREAM");
	wm_log_context(NULL, NULL);
	wm_log_setup(WM_LOG_TEXT, WM_LOG_INFO);
	return 0;
}

/* Checks "2026-11-21T08:30:00.123Z " (or micros) at s; returns what follows it. */
static const char *
after_time(const char *s, size_t decimals)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.";
	size_t n = 0;

	for (; shape[n] != '\0'; n++) {
		if (shape[n] == 'd')
			assert_in_range(s[n], '0', '9');
		else
			assert_int_equal(s[n], shape[n]);
	}
	for (; decimals > 0; decimals--, n++)
		assert_in_range(s[n], '0', '9');
	assert_int_equal(s[n], 'Z');
	return s + n + 1;
}

static void
text_has_time_level_event_context(void **unused WM_UNUSED)
{
	const char *s;

	begin_pipe();
	wm_log(WM_LOG_INFO, "stream_started", "at %s", "0/1");
	s = end();
	assert_string_equal(after_time(s, 3), " INFO  stream_started: at 0/1\n");

	wm_log_context("source", "shop");
	begin_pipe();
	wm_log(WM_LOG_ERROR, "source_failed", "gone");
	s = end();
	assert_string_equal(after_time(s, 3), " ERROR source_failed: gone (source shop)\n");

	wm_log_context(NULL, NULL);
	begin_pipe();
	wm_log(WM_LOG_WARNING, "slow", "x");
	s = end();
	assert_string_equal(after_time(s, 3), " WARN  slow: x\n");
}

static void
level_decides(void **unused WM_UNUSED)
{
	begin_pipe();
	wm_log(WM_LOG_DEBUG, "e", "not this");
	assert_string_equal(end(), "");
	wm_log_setup(WM_LOG_TEXT, WM_LOG_ERROR);
	assert_int_equal(wm_log_level(), WM_LOG_ERROR);
	begin_pipe();
	wm_log(WM_LOG_WARNING, "e", "nor this");
	assert_string_equal(end(), "");
	wm_log_setup(WM_LOG_TEXT, WM_LOG_DEBUG);
	begin_pipe();
	errno = ENOENT;
	wm_log(WM_LOG_DEBUG, "e", "this");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(after_time(end(), 3), " DEBUG e: this\n");
}

static void
text_message_stays_one_line(void **unused WM_UNUSED)
{
	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "a\nERROR fake: b\033[2J\r\n");
	assert_string_equal(after_time(end(), 3), " INFO  e: a ERROR fake: b [2J\n");
}

static void
json_is_one_object_a_line(void **unused WM_UNUSED)
{
	static const char head[] = "{\"time\":\"";
	const char *s;

	wm_log_setup(WM_LOG_JSON, WM_LOG_INFO);
	begin_pipe();
	wm_log(WM_LOG_WARNING, "target_retry", "refused");
	s = end();
	assert_memory_equal(s, head, sizeof(head) - 1);
	assert_string_equal(after_time(s + sizeof(head) - 1, 6),
	    "\",\"level\":\"warning\",\"event\":\"target_retry\",\"message\":\"refused\"}\n");

	wm_log_context("target", "ware\"house");
	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "m");
	s = end();
	assert_string_equal(after_time(s + sizeof(head) - 1, 6),
	    "\",\"level\":\"info\",\"event\":\"e\",\"message\":\"m\","
	    "\"target\":\"ware\\\"house\"}\n");
}

static void
assert_json_message(const char *message, const char *escaped)
{
	const char *s, *at;

	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "%s", message);
	s = end();
	at = strstr(s, "\"message\":");
	assert_non_null(at);
	assert_string_equal(at + strlen("\"message\":"), escaped);
}

static void
json_escapes(void **unused WM_UNUSED)
{
	wm_log_setup(WM_LOG_JSON, WM_LOG_INFO);
	assert_json_message("say \"hi\" \\ /", "\"say \\\"hi\\\" \\\\ /\"}\n");
	assert_json_message("a\tb\nc", "\"a b c\"}\n");
	/* Well-formed UTF-8 of each length passes. */
	assert_json_message("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
	    "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}\n");
	/* Stray, overlong, surrogate, too high, cut off: a replacement for each byte. */
	assert_json_message("\x80.", "\"\\ufffd.\"}\n");
	assert_json_message("\xc0\xaf.", "\"\\ufffd\\ufffd.\"}\n");
	assert_json_message("\xe0\x80\x80.", "\"\\ufffd\\ufffd\\ufffd.\"}\n");
	assert_json_message("\xed\xa0\x80.", "\"\\ufffd\\ufffd\\ufffd.\"}\n");
	assert_json_message("\xf4\x90\x80\x80.", "\"\\ufffd\\ufffd\\ufffd\\ufffd.\"}\n");
	assert_json_message("x\xe2\x82", "\"x\\ufffd\\ufffd\"}\n");
}

static void
set_journal_stream(int fd)
{
	char stream[64];
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
}

static void
journal_gets_priorities_and_no_time(void **unused WM_UNUSED)
{
	begin_pipe();
	set_journal_stream(cap.to);
	wm_log_setup(WM_LOG_TEXT, WM_LOG_DEBUG);
	wm_log(WM_LOG_ERROR, "a", "1");
	wm_log(WM_LOG_WARNING, "b", "2");
	wm_log(WM_LOG_INFO, "c", "3");
	wm_log(WM_LOG_DEBUG, "d", "4");
	assert_string_equal(end(), "<3>a: 1\n<4>b: 2\n<6>c: 3\n<7>d: 4\n");

	/* The journal takes the priority off, so that what it stores is an object. */
	begin_pipe();
	set_journal_stream(cap.to);
	wm_log_setup(WM_LOG_JSON, WM_LOG_INFO);
	wm_log(WM_LOG_ERROR, "a", "1");
	assert_memory_equal(end(), "<3>{\"time\":\"", 12);
}

static void
redirected_stderr_is_no_journal(void **unused WM_UNUSED)
{
	begin_pipe();
	/* stdin is not the pipe. */
	set_journal_stream(STDIN_FILENO);
	wm_log_setup(WM_LOG_TEXT, WM_LOG_INFO);
	wm_log(WM_LOG_INFO, "a", "1");
	assert_string_equal(after_time(end(), 3), " INFO  a: 1\n");
}

static void
long_message_is_cut(void **unused WM_UNUSED)
{
	static char big[40000];
	size_t n;

	memset(big, 'x', sizeof(big) - 1);
	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "%s", big);
	n = strlen(after_time(end(), 3));
	assert_int_equal(n, strlen(" INFO  e: ") + 16384 + 1);
}

static void
draw(void *arg)
{
	const char *s = arg;

	assert_int_equal(write(STDERR_FILENO, s, strlen(s)), strlen(s));
}

static void
progress_is_redrawn_on_a_terminal(void **unused WM_UNUSED)
{
	char bar[] = "[=> ] 40%";
	int from = posix_openpt(O_RDWR | O_NOCTTY), to;
	const char *s;

	assert_true(from >= 0);
	assert_int_equal(grantpt(from), 0);
	assert_int_equal(unlockpt(from), 0);
	to = open(ptsname(from), O_RDWR | O_NOCTTY);
	assert_true(to >= 0);
	begin(from, to);
	wm_log_progress(draw, bar);
	wm_log(WM_LOG_INFO, "e", "m");
	wm_log_progress(NULL, NULL);
	s = end();
	assert_memory_equal(s, "[=> ] 40%\r\033[K", 13);
	s = after_time(s + 13, 3);
	/* The terminal makes \r\n of a newline. */
	assert_string_equal(s, " INFO  e: m\r\n[=> ] 40%\r\033[K");

	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "m");
	assert_string_equal(after_time(end(), 3), " INFO  e: m\n");
}

static void
progress_needs_a_terminal(void **unused WM_UNUSED)
{
	char bar[] = "bar";

	begin_pipe();
	wm_log_progress(draw, bar);
	wm_log(WM_LOG_INFO, "e", "m");
	wm_log_progress(NULL, NULL);
	assert_string_equal(after_time(end(), 3), " INFO  e: m\n");
}

static void
assert_scrubbed(const char *text, const char *expected)
{
	char copy[200];

	snprintf(copy, sizeof(copy), "%s", text);
	wm_secret_scrub(copy);
	assert_string_equal(copy, expected);
}

static void
secrets_are_covered(void **unused WM_UNUSED)
{
	wm_secret_register("s3cret");
	wm_secret_register("s3cret");
	wm_secret_register("s3cret-longer");
	wm_secret_register("longer!end");
	wm_secret_register("aaaa");
	wm_secret_register(NULL);
	wm_secret_register("");
	wm_secret_register("abc");	/* too short to be kept */
	assert_scrubbed("", "");
	assert_scrubbed("abc nothing s3cre", "abc nothing s3cre");
	assert_scrubbed("s3cret", "***");
	assert_scrubbed("a s3cret b s3cret c", "a *** b *** c");
	assert_scrubbed("s3crets3cret.", "***.");
	/* The longer one, the overlapping one, the one that repeats. */
	assert_scrubbed("x s3cret-longer y", "x *** y");
	assert_scrubbed("x s3cret-longer!end y", "x *** y");
	assert_scrubbed("xaaaaaaay", "x***y");
	assert_scrubbed("xaaay", "xaaay");
}

static void
secrets_are_covered_in_every_part_of_a_line(void **unused WM_UNUSED)
{
	const char *s;

	wm_secret_register("quote\"d\\secret");
	wm_log_setup(WM_LOG_JSON, WM_LOG_INFO);
	wm_log_context("source", "quote\"d\\secret");
	begin_pipe();
	wm_log(WM_LOG_INFO, "e", "password=%s;", "quote\"d\\secret");
	s = end();
	assert_non_null(strstr(s, "\"message\":\"password=***;\",\"source\":\"***\"}\n"));
}

static void *
register_many(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < 200; i++) {
		char secret[32], text[32];

		snprintf(secret, sizeof(secret), "%s-%d-token", name, i);
		snprintf(text, sizeof(text), "%s", secret);
		wm_secret_register(secret);
		wm_secret_scrub(text);
		if (strcmp(text, "***") != 0)
			return arg;
	}
	return NULL;
}

static void
secrets_may_come_from_any_thread(void **unused WM_UNUSED)
{
	char names[4][8] = { "one", "two", "three", "four" };
	pthread_t threads[4];
	void *bad;

	for (size_t i = 0; i < WM_ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, register_many, names[i]), 0);
	for (size_t i = 0; i < WM_ARRAY_SIZE(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &bad), 0);
		assert_null(bad);
	}
}

static void *
log_many(void *arg)
{
	wm_log_context("worker", arg);
	for (int i = 0; i < 100; i++)
		wm_log(WM_LOG_INFO, "e", "m");
	return NULL;
}

static void
context_belongs_to_its_thread(void **unused WM_UNUSED)
{
	char names[2][2] = { "a", "b" };
	pthread_t threads[2];
	size_t lines[3] = { 0 };
	const char *s;

	begin_pipe();
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	wm_log(WM_LOG_INFO, "e", "m");
	for (s = end(); *s != '\0'; s = strchr(s, '\n') + 1) {
		const char *rest = after_time(s, 3);

		if (strncmp(rest, " INFO  e: m (worker a)\n", 23) == 0)
			lines[0]++;
		else if (strncmp(rest, " INFO  e: m (worker b)\n", 23) == 0)
			lines[1]++;
		else if (strncmp(rest, " INFO  e: m\n", 12) == 0)
			lines[2]++;
	}
	assert_int_equal(lines[0], 100);
	assert_int_equal(lines[1], 100);
	assert_int_equal(lines[2], 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(text_has_time_level_event_context, reset),
		cmocka_unit_test_setup(level_decides, reset),
		cmocka_unit_test_setup(text_message_stays_one_line, reset),
		cmocka_unit_test_setup(json_is_one_object_a_line, reset),
		cmocka_unit_test_setup(json_escapes, reset),
		cmocka_unit_test_setup(journal_gets_priorities_and_no_time, reset),
		cmocka_unit_test_setup(redirected_stderr_is_no_journal, reset),
		cmocka_unit_test_setup(long_message_is_cut, reset),
		cmocka_unit_test_setup(progress_is_redrawn_on_a_terminal, reset),
		cmocka_unit_test_setup(progress_needs_a_terminal, reset),
		cmocka_unit_test_setup(secrets_are_covered, reset),
		cmocka_unit_test_setup(secrets_are_covered_in_every_part_of_a_line, reset),
		cmocka_unit_test_setup(secrets_may_come_from_any_thread, reset),
		cmocka_unit_test_setup(context_belongs_to_its_thread, reset),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
