/* SPDX-License-Identifier: PostgreSQL */
/*
 * check.c - walmill check: configuration, then a preflight of every source and target.
 *
 * Findings go to stdout, mistakes in the configuration to stderr with their place.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "args.h"
#include "check.h"
#include "cli.h"

static const char *const words[] = { [WM_NOTE] = "ok", [WM_WARNING] = "warning", [WM_ERROR] = "error" };

static size_t
count(const struct wm_diags *d, enum wm_severity severity)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n; i++)
		n += d->list[i].severity == severity;
	return n;
}

static void
print_text(const struct wm_diags *d)
{
	for (size_t i = 0; i < d->n; i++) {
		const struct wm_diag *f = &d->list[i];

		printf("%-8s %s%s%s\n", words[f->severity], f->place == NULL ? "" : f->place,
		    f->place == NULL ? "" : ": ", f->text);
		if (f->fix != NULL)
			printf("         fix: %s\n", f->fix);
	}
}

static bool
add_finding(cJSON *list, const struct wm_diag *f)
{
	cJSON *o = cJSON_CreateObject();

	if (o == NULL || !cJSON_AddItemToArray(list, o)) {
		cJSON_Delete(o);
		return false;
	}
	return cJSON_AddStringToObject(o, "severity", words[f->severity]) != NULL &&
	    (f->place == NULL ? cJSON_AddNullToObject(o, "place") :
				cJSON_AddStringToObject(o, "place", f->place)) != NULL &&
	    cJSON_AddStringToObject(o, "text", f->text) != NULL &&
	    (f->fix == NULL ? cJSON_AddNullToObject(o, "fix") :
			      cJSON_AddStringToObject(o, "fix", f->fix)) != NULL;
}

static int
print_json(const struct wm_diags *d)
{
	WM_AUTO(wm_cli_free_jsonp) cJSON *root = cJSON_CreateObject();
	cJSON *list = cJSON_AddArrayToObject(root, "findings");
	bool good = list != NULL && cJSON_AddNumberToObject(root, "errors", (double)d->errors) != NULL &&
	    cJSON_AddNumberToObject(root, "warnings", (double)count(d, WM_WARNING)) != NULL;
	char *text;

	for (size_t i = 0; good && i < d->n; i++)
		good = add_finding(list, &d->list[i]);
	text = good ? cJSON_Print(root) : NULL;
	if (text == NULL)
		return wm_cli_fail(&(struct wm_error){ .status = WM_FATAL, .text = "out of memory for the findings" });
	puts(text);
	cJSON_free(text);
	return WM_EXIT_OK;
}

static int
report(const struct wm_diags *d, bool json, int failed)
{
	int code = WM_EXIT_OK;

	if (json)
		code = print_json(d);
	else
		print_text(d);
	if (d->errors == 0)
		return code;
	fflush(stdout);
	fprintf(stderr, "walmill check: %zu errors, %zu warnings\n", d->errors, count(d, WM_WARNING));
	return failed;
}

static void
preflight(struct wm_check *check)
{
	const struct wm_setup *setup = check->setup;

	for (size_t i = 0; i < setup->config->nsources; i++) {
		WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;

		if (setup->config->sources[i].lane > 1)
			continue;
		wm_check_server(check, &setup->config->sources[i], &c);
		if (c != NULL)
			wm_check_tables(check, &setup->config->sources[i], c);
	}
	wm_check_views(check);
	for (size_t i = 0; i < setup->ntargets; i++)
		wm_check_target(check, setup->targets[i]);
}

static int
check_all(const char *path, bool offline, bool alerts, bool json)
{
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	WM_AUTO(wm_check_free) struct wm_check check = { 0 };	/* goes before the setup: plans borrow its rules */
	size_t nsources = 0;

	setup = wm_cli_load_setup(path, &check.findings);
	if (setup == NULL && json)
		return report(&check.findings, true, WM_EXIT_USAGE);
	if (setup == NULL) {
		wm_cli_print_diags(&check.findings);
		return WM_EXIT_USAGE;
	}
	for (size_t i = 0; i < setup->config->nsources; i++)
		nsources += setup->config->sources[i].lane == 1;
	wm_diags_add(&check.findings, WM_NOTE, path, NULL, "%zu sources, %zu targets and %zu rules are valid",
	    nsources, setup->ntargets, setup->rules->n);
	check.setup = setup;
	if (!offline)
		preflight(&check);
	if (!offline || alerts)
		wm_check_alerts(&check, alerts);
	return report(&check.findings, json, WM_EXIT_FAILED);
}

int
wm_cli_check(int argc, char **argv)
{
	const char *config = NULL;
	bool offline = false, alerts = false, json = false;
	const struct wm_flag flags[] = {
		WM_FLAG_CONFIG(config),
		{ "offline", 0, WM_FLAG_SWITCH, &offline, NULL, "look at configuration and rules only" },
		{ "alerts", 0, WM_FLAG_SWITCH, &alerts, NULL, "send a test message to each receiver of alerts" },
		WM_FLAG_JSON(json), WM_FLAG_END,
	};
	const struct wm_usage usage = { "check", "",
		"Checks configuration and rules, then that every source and target is "
		"ready for them, and that receivers of\nalerts can be reached; says the fix for each finding.  Changes nothing.  Exit code "
		"2 when the configuration\nis wrong, 1 when a source or target is not ready.",
		0, 0 };
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	return code != -1 ? code : check_all(wm_cli_config_path(config), offline, alerts, json);
}
