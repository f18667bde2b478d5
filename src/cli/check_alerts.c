/* SPDX-License-Identifier: PostgreSQL */
/*
 * check_alerts.c - whether those who are to be told of trouble can be told.
 */
#include <stdio.h>

#include "check.h"
#include "walmill/alert.h"
#include "walmill/strutil.h"

static void
check_receiver(struct wm_check *check, const struct wm_alert_config *receiver, bool send)
{
	WM_AUTO(wm_freep) char *name = wm_alert_receiver_name(receiver);
	char subject[200];
	struct wm_error err;

	snprintf(subject, sizeof(subject), "alerts to %.150s", name == NULL ? "?" : name);
	if ((send ? wm_alert_test(receiver, &err) : wm_alert_reach(receiver, &err)) != WM_OK)
		wm_diags_add(&check->findings, WM_ERROR, subject, NULL, "%s", err.text);
	else
		wm_diags_add(&check->findings, WM_NOTE, subject, NULL, "%s",
		    send ? "took a test message" : "reachable");
}

void
wm_check_alerts(struct wm_check *check, bool send)
{
	const struct wm_config *config = check->setup->config;

	for (size_t i = 0; i < config->nalerts; i++)
		check_receiver(check, &config->alerts[i], send);
}
