/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_alerts.c - conditions as they come and go; deliveries are tested against real servers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "walmill/alert.h"

/* The state of a condition: -1 not known, else whether it is active. */
static int
look(struct wm_alerts *a, const char *kind, const char *object)
{
	struct wm_alerts_status s;
	int ret = -1;

	assert_int_equal(wm_alerts_look(a, &s, NULL), WM_OK);
	for (size_t i = 0; i < s.nalerts; i++)
		if (strcmp(s.alerts[i].kind, kind) == 0 && strcmp(s.alerts[i].object, object) == 0)
			ret = s.alerts[i].active;
	wm_alerts_status_free(&s);
	return ret;
}

static struct wm_alerts *
create(const struct wm_config *config)
{
	struct wm_alerts *a = NULL;

	assert_int_equal(wm_alerts_create(config, &a, NULL), WM_OK);
	return a;
}

static void
end(struct wm_alerts *a)
{
	wm_alerts_stop(a, 0);
	wm_alerts_destroy(a);
}

static void
rounds(void **state)
{
	struct wm_alerts *a = create(&(struct wm_config){ 0 });

	(void)state;
	wm_alerts_set(a, WM_ALERT_DAEMON_FAILED, "walmill", "why");
	wm_alerts_begin(a);
	wm_alerts_set(a, WM_ALERT_JOURNAL_FULL, "shop", "full");
	wm_alerts_set(a, WM_ALERT_JOURNAL_FULL, "other", "full");
	wm_alerts_set(a, WM_ALERT_RULE_STOPPED, "orders", NULL);
	wm_alerts_set(a, WM_ALERT_RULE_STOPPED, "gone", "stopped");
	wm_alerts_end(a);
	assert_int_equal(look(a, "journal_full", "shop"), 1);
	assert_int_equal(look(a, "rule_stopped", "orders"), 0);
	assert_int_equal(look(a, "rule_stopped", "gone"), 1);
	assert_int_equal(look(a, "rule_stopped", "shop"), -1);

	wm_alerts_begin(a);
	wm_alerts_set(a, WM_ALERT_JOURNAL_FULL, "shop", NULL);
	wm_alerts_keep(a, WM_ALERT_JOURNAL_FULL, "other");
	wm_alerts_set(a, WM_ALERT_RULE_STOPPED, "orders", "stopped");
	wm_alerts_end(a);
	assert_int_equal(look(a, "journal_full", "shop"), 0);
	assert_int_equal(look(a, "journal_full", "other"), 1);
	assert_int_equal(look(a, "rule_stopped", "orders"), 1);
	assert_int_equal(look(a, "rule_stopped", "gone"), 0);
	assert_int_equal(look(a, "daemon_failed", "walmill"), 1);
	end(a);
}

/* Shown as the least patient receiver sees it. */
static void
patience(void **state)
{
	static char to[] = "http://127.0.0.1:1/", mail[] = "mailto:a@b", smtp[] = "smtp://127.0.0.1:1";
	struct wm_alert_config receivers[] = {
		{ .to = to, .retrying = 1000 * WM_SEC, .interval = INT64_MAX, .repeat = INT64_MAX },
		{ .to = mail, .smtp = smtp, .retrying = 0, .interval = INT64_MAX, .repeat = INT64_MAX },
	};
	struct wm_config config = { .alerts = receivers };
	struct wm_alerts *a = create(&config);
	struct wm_alerts_status s;

	(void)state;
	wm_alerts_set(a, WM_ALERT_TARGET_RETRYING, "dw", "away");
	assert_int_equal(look(a, "target_retrying", "dw"), 0);
	config.nalerts = 1;
	assert_int_equal(wm_alerts_configure(a, &config, NULL), WM_OK);
	assert_int_equal(look(a, "target_retrying", "dw"), 0);
	config.nalerts = 2;
	assert_int_equal(wm_alerts_configure(a, &config, NULL), WM_OK);
	assert_int_equal(look(a, "target_retrying", "dw"), 1);
	assert_int_equal(wm_alerts_look(a, &s, NULL), WM_OK);
	assert_int_equal(s.nreceivers, 2);
	assert_string_equal(s.receivers[0].to, "http://127.0.0.1:1");
	assert_string_equal(s.receivers[1].to, "a@b");
	wm_alerts_status_free(&s);
	end(a);
}

/* Not later than asked, though the receiver takes the connection and then says nothing. */
static void
a_stop_does_not_wait(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char to[40];
	struct wm_alert_config receivers[] = { { .to = to, .interval = WM_SEC, .repeat = WM_SEC } };
	struct wm_alerts *a;
	wm_usec began;

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&address, n), 0);
	assert_int_equal(listen(fd, 5), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	snprintf(to, sizeof(to), "http://127.0.0.1:%d/", ntohs(address.sin_port));
	a = create(&(struct wm_config){ .nalerts = 1, .alerts = receivers });
	wm_alerts_set(a, WM_ALERT_RULE_STOPPED, "orders", "stopped");
	began = wm_clock_mono();
	wm_alerts_stop(a, 300 * WM_MSEC);
	assert_in_range(wm_clock_mono() - began, 300 * WM_MSEC, 3 * WM_SEC);
	wm_alerts_destroy(a);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rounds),
		cmocka_unit_test(patience),
		cmocka_unit_test(a_stop_does_not_wait),
	};

	setenv("no_proxy", "*", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
