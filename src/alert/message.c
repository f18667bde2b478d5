/* SPDX-License-Identifier: PostgreSQL */
/*
 * message.c - what a receiver is told, as JSON and as a mail.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define LINE_MAX_LEN 72		/* of encoded text in a mail */

static const char *const states[] = { [MESSAGE_RAISED] = "raised", [MESSAGE_REMINDER] = "reminder",
	[MESSAGE_CLEARED] = "cleared", [MESSAGE_TEST] = "test" };

static const struct kind test_kind = { "test", "daemon", false };

void
message_free(struct message *m)
{
	free(m->object);
	free(m->text);
}

static void
host_name(char *buf, size_t size)
{
	if (gethostname(buf, size) != 0 || buf[0] == '\0')
		snprintf(buf, size, "localhost");
	buf[size - 1] = '\0';
}

void
message_sender(struct wm_buf *out)
{
	char host[256];

	host_name(host, sizeof(host));
	wm_buf_addf(out, "walmill@%s", host);
}

static const struct kind *
kind_of(const struct message *m)
{
	return m->kind == NULL ? &test_kind : m->kind;
}

/* To the second, which is enough for people. */
static void
add_time(struct wm_buf *out, wm_usec t)
{
	char text[40];

	wm_buf_addf(out, "%.19sZ", wm_clock_format(t, text, sizeof(text)));
}

/* "raised: journal_full, source "shop" (walmill on host)" */
static void
add_headline(struct wm_buf *out, const struct message *m)
{
	char host[256];

	host_name(host, sizeof(host));
	wm_buf_addf(out, "%s: %s, %s \"%s\" (walmill on %s)", states[m->state], kind_of(m)->name, kind_of(m)->type,
	    m->object, host);
}

/* What only matters when it is so: how long, how often. */
static void
add_history(struct wm_buf *out, const struct message *m)
{
	if (m->state == MESSAGE_REMINDER || m->state == MESSAGE_CLEARED) {
		wm_buf_adds(out, "\nsince ");
		add_time(out, m->since);
	}
	if (m->state == MESSAGE_CLEARED) {
		wm_buf_adds(out, ", over at ");
		add_time(out, m->until);
	}
	if (m->times > 1 || (m->times > 0 && m->state != MESSAGE_RAISED))
		wm_buf_addf(out, "\nbegan %" PRIu64 " time%s since the last message about it", m->times,
		    m->times == 1 ? "" : "s");
}

static void
add_member(struct wm_buf *out, const char *name, const char *value)
{
	wm_buf_addf(out, "\"%s\":", name);
	(void)wm_buf_add_json(out, value, strlen(value));
	wm_buf_addc(out, ',');
}

static void
add_moment(struct wm_buf *out, const char *name, wm_usec t, bool known)
{
	wm_buf_addf(out, "\"%s\":%s", name, known ? "\"" : "null");
	if (known)
		add_time(out, t);
	wm_buf_adds(out, known ? "\"," : ",");
}

void
message_json(const struct message *m, struct wm_buf *out)
{
	char host[256];
	struct wm_buf text;

	host_name(host, sizeof(host));
	wm_buf_init(&text, 64U << 10);
	add_headline(&text, m);
	wm_buf_addf(&text, "\n%s", m->text);
	add_history(&text, m);
	wm_buf_addc(out, '{');
	add_member(out, "text", text.data);
	add_member(out, "host", host);
	add_member(out, "state", states[m->state]);
	add_member(out, "kind", kind_of(m)->name);
	add_member(out, "type", kind_of(m)->type);
	add_member(out, "object", m->object);
	add_member(out, "reason", m->text);
	add_moment(out, "since", m->since, m->since != 0);
	add_moment(out, "until", m->until, m->state == MESSAGE_CLEARED);
	wm_buf_addf(out, "\"times\":%" PRIu64 ",", m->times);
	add_member(out, "version", PACKAGE_VERSION);
	/* The comma behind the last member. */
	if (!out->failed)
		wm_buf_truncate(out, out->len - 1);
	wm_buf_addc(out, '}');
	out->failed |= text.failed;
	wm_buf_free(&text);
}

/* ---- mail ---- */

/* RFC 2047, in words that are short enough for a line and end between two characters. */
static void
add_subject(struct wm_buf *out, const char *s)
{
	size_t room = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		bool inside = (c & 0xc0) == 0x80;

		if (room < 12 && !inside) {
			wm_buf_adds(out, out->data[out->len - 1] == ' ' ? "=?UTF-8?Q?" : "?=\r\n =?UTF-8?Q?");
			room = 60;
		}
		wm_buf_addf(out, plain ? "%c" : "=%02X", c);
		room -= plain ? 1 : room < 3 ? room : 3;
	}
	wm_buf_adds(out, "?=");
}

/* Quoted-printable, RFC 2045. */
static void
add_body(struct wm_buf *out, const char *s)
{
	size_t column = 0;

	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = c >= ' ' && c <= '~' && c != '=' && !(c == ' ' && (s[1] == '\n' || s[1] == '\0'));

		if (c == '\n') {
			wm_buf_adds(out, "\r\n");
			column = 0;
			continue;
		}
		if (column >= LINE_MAX_LEN) {
			wm_buf_adds(out, "=\r\n");
			column = 0;
		}
		wm_buf_addf(out, plain ? "%c" : "=%02X", c);
		column += plain ? 1 : 3;
	}
	wm_buf_adds(out, "\r\n");
}

/* The C locale's names, whatever the process runs in. */
static void
add_date(struct wm_buf *out)
{
	static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t now = (time_t)(wm_clock_wall() / WM_SEC);
	struct tm tm;

	gmtime_r(&now, &tm);
	wm_buf_addf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d +0000\r\n", days + (size_t)tm.tm_wday * 3,
	    tm.tm_mday, months + (size_t)tm.tm_mon * 3, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void
add_message_id(struct wm_buf *out)
{
	uint64_t random = 0;
	char host[256];

	host_name(host, sizeof(host));
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		random = (uint64_t)wm_clock_mono();
	wm_buf_addf(out, "Message-ID: <%" PRIx64 ".%" PRIx64 ".walmill@%s>\r\n",
	    (uint64_t)wm_clock_wall(), random, host);
}

void
message_mail(const struct message *m, const char *from, const char *to, struct wm_buf *out)
{
	struct wm_buf text;

	wm_buf_init(&text, 64U << 10);
	wm_buf_addf(out, "From: walmill <%s>\r\nTo: ", from);
	for (const char *p = to; *p != '\0'; p++)
		wm_buf_adds(out, *p == ',' ? ",\r\n " : (char[]){ *p, '\0' });
	wm_buf_adds(out, "\r\n");
	add_date(out);
	add_message_id(out);
	wm_buf_adds(out, "Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
			 "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
			 "Subject: ");
	wm_buf_adds(&text, "[walmill] ");
	add_headline(&text, m);
	add_subject(out, text.data);
	wm_buf_adds(out, "\r\n\r\n");
	wm_buf_reset(&text);
	wm_buf_adds(&text, m->text);
	wm_buf_addc(&text, '\n');
	add_history(&text, m);
	wm_buf_adds(&text, "\n\n-- \nwalmill " PACKAGE_VERSION);
	add_body(out, text.data);
	out->failed |= text.failed;
	wm_buf_free(&text);
}
