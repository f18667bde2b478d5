/* SPDX-License-Identifier: PostgreSQL */
/*
 * alerts.c - the section "alerts": who is told when an operator is needed.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "sections.h"
#include "walmill/clock.h"

#define ALERT(field) .offset = offsetof(struct wm_alert_config, field)

const struct wm_option wm_alert_options[] = {
	{ .name = "to", .kind = WM_OPT_STRING, ALERT(to), .required = true, .help = "mailto:ADDRESS or https://..." },
	{ .name = "smtp", .kind = WM_OPT_STRING, ALERT(smtp), .help = "the mail server, as smtp://HOST:PORT" },
	{ .name = "user", .kind = WM_OPT_STRING, ALERT(user), .help = "who logs in at the mail server" },
	{ .name = "password", .kind = WM_OPT_SECRET, ALERT(password), .help = "with which password" },
	{ .name = "from", .kind = WM_OPT_STRING, ALERT(from), .help = "the sender; default walmill@HOST" },
	{ .name = "secret_key", .kind = WM_OPT_SECRET, ALERT(secret_key),
	    .help = "sent to an https receiver, as Authorization: Bearer" },
	{ .name = "header", .kind = WM_OPT_STRING, ALERT(header), .help = "another header for the secret_key alone" },
	{ .name = "ca_file", .kind = WM_OPT_PATH, ALERT(ca_file),
	    .help = "certificates (PEM) to trust in place of the system's" },
	{ .name = "repeat", .kind = WM_OPT_DURATION, ALERT(repeat), .fallback = "6h",
	    .help = "how often to remind while something lasts; 0: never" },
	{ .name = "interval", .kind = WM_OPT_DURATION, ALERT(interval), .fallback = "1min", .help = "the shortest time between two messages about one thing" },
	{ .name = "retrying", .kind = WM_OPT_DURATION, ALERT(retrying), .fallback = "5min", .help = "how long a source or target may be away before it is an alert" },
	{ 0 },
};

static bool
starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool
address_byte(char c)
{
	return c > ' ' && c < 0x7f && strchr("<>(),;\"\\", c) == NULL;
}

/* A mail address as far as it could do harm: something, @, something. */
static bool
is_address(const char *s, size_t n)
{
	const char *at = memchr(s, '@', n);

	for (size_t i = 0; i < n; i++)
		if (!address_byte(s[i]))
			return false;
	return at != NULL && at > s && at < s + n - 1;
}

static bool
are_addresses(const char *s)
{
	size_t n = strcspn(s, ",");

	return is_address(s, n) && (s[n] == '\0' || are_addresses(s + n + 1));
}

static void
say(const struct wm_node *map, const char *key, struct wm_diags *diags, const char *text)
{
	const struct wm_node *node = wm_node_get(map, key);

	wm_diags_at(diags, WM_ERROR, node == NULL ? &map->mark : &node->mark, "%s", text);
}

static void
check_mail(const struct wm_alert_config *alert, const struct wm_node *map, struct wm_diags *diags)
{
	if (!are_addresses(alert->to + strlen("mailto:")))
		say(map, "to", diags, "\"to\" in alert must be mailto:NAME@HOST, several with commas between");
	if (alert->smtp == NULL)
		say(map, "to", diags, "an alert by mail needs the mail server: add smtp: smtp://HOST:PORT");
	if (alert->from != NULL && !is_address(alert->from, strlen(alert->from)))
		say(map, "from", diags, "\"from\" in alert must be an address, NAME@HOST");
	if ((alert->user == NULL) != (alert->password == NULL))
		say(map, alert->user == NULL ? "password" : "user", diags,
		    "\"user\" and \"password\" in alert go together");
	if (alert->secret_key != NULL || alert->header != NULL)
		say(map, alert->header == NULL ? "secret_key" : "header", diags,
		    "\"secret_key\" and \"header\" in alert are for https receivers");
}

static bool
header_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static void
check_http(const struct wm_alert_config *alert, const struct wm_node *map, struct wm_diags *diags)
{
	static const char *const mail[] = { "smtp", "user", "password", "from" };

	for (size_t i = 0; i < sizeof(mail) / sizeof(mail[0]); i++)
		if (wm_node_get(map, mail[i]) != NULL)
			wm_diags_at(diags, WM_ERROR, &wm_node_get(map, mail[i])->mark,
			    "\"%s\" in alert is for mailto: receivers", mail[i]);
	if (alert->header != NULL && !wm_section_consists_of(alert->header, header_byte))
		say(map, "header", diags, "\"header\" in alert must be the name of an HTTP header");
	if (alert->header != NULL && alert->secret_key == NULL)
		say(map, "header", diags, "\"header\" in alert needs the \"secret_key\" that it is to carry");
	if (alert->secret_key != NULL && strpbrk(alert->secret_key, "\r\n") != NULL)
		say(map, "secret_key", diags, "\"secret_key\" in alert must be one line");
}

static void
check(const struct wm_alert_config *alert, const struct wm_node *map, struct wm_diags *diags)
{
	if (alert->to == NULL)
		return;
	if (starts(alert->to, "mailto:"))
		check_mail(alert, map, diags);
	else if (starts(alert->to, "https://") || starts(alert->to, "http://"))
		check_http(alert, map, diags);
	else
		say(map, "to", diags, "\"to\" in alert must be mailto:ADDRESS or https://...");
	if (alert->smtp != NULL && !starts(alert->smtp, "smtp://") && !starts(alert->smtp, "smtps://"))
		say(map, "smtp", diags, "\"smtp\" in alert must be smtp://HOST:PORT or smtps://HOST:PORT");
}

void
wm_alerts_read(struct wm_config *config, const struct wm_node *root, struct wm_diags *diags)
{
	const struct wm_node *list = wm_node_get(root, "alerts");

	if (list == NULL || wm_node_is_null(list))
		return;
	if (list->kind != WM_NODE_LIST) {
		wm_diags_at(diags, WM_ERROR, &list->mark, "alerts must be a list, such as \"- to: https://...\"");
		return;
	}
	config->alerts = calloc(list->n + 1, sizeof(*config->alerts));
	if (config->alerts == NULL) {
		wm_section_out_of_memory(&list->mark, diags);
		return;
	}
	config->nalerts = list->n;
	for (size_t i = 0; i < list->n; i++) {
		wm_options_fill(wm_alert_options, list->items[i], "alert", NULL, &config->alerts[i], diags);
		check(&config->alerts[i], list->items[i], diags);
	}
}
