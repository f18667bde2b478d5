/* SPDX-License-Identifier: PostgreSQL */
/*
 * zoho.c - the zoho_analytics back-end: options and operations.
 */
#include "zoho.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/strutil.h"
#include "walmill/targets.h"
#include "walmill/zoho.h"

static struct wm_zoho *
of(struct wm_target *t)
{
	return (struct wm_zoho *)t;
}

/* ---- opening ---- */

/* A price in units: "0.1". */
static enum wm_status
set_price(const struct wm_zoho *z, const char *name, const char *text, double *ret, struct wm_error *err)
{
	cJSON *number = cJSON_Parse(text);
	bool good = cJSON_IsNumber(number) && number->valuedouble >= 0 && isfinite(number->valuedouble);

	if (good)
		*ret = number->valuedouble;
	cJSON_Delete(number);
	return good ? WM_OK :
		      wm_fail(err, WM_FATAL,
			  "target \"%s\": \"%s\" is \"%s\": it has to be a number of API units, "
			  "such as 0.1",
			  z->base.name, name, text);
}

/* Of http or https, to which a path can be added. */
static bool
is_address(const char *url)
{
	WM_AUTO(wm_freep) char *origin = wm_http_origin(url);

	return origin != NULL && strncmp(url, "http", 4) == 0 && strpbrk(url, "?#@ ") == NULL;
}

static enum wm_status
take_options(struct wm_zoho *z, struct wm_error *err)
{
	const struct {
		const char	*name, *text;
		double		*to;
	} prices[] = {
		{ "price_row", z->price_row, &z->price.row },
		{ "price_delete", z->price_delete, &z->price.delete },
		{ "price_upsert", z->price_upsert, &z->price.upsert },
		{ "price_replace", z->price_replace, &z->price.replace },
		{ "price_export", z->price_export, &z->price.export },
		{ "price_metadata", z->price_metadata, &z->price.metadata },
		{ "price_modeling", z->price_modeling, &z->price.modeling },
	};
	enum wm_status st = WM_OK;

	for (size_t i = 0; st == WM_OK && i < WM_ARRAY_SIZE(prices); i++)
		st = set_price(z, prices[i].name, prices[i].text, prices[i].to, err);
	z->policy = (struct wm_zoho_policy){ .true_word = z->true_word, .false_word = z->false_word,
		.empty_text = z->empty_text != NULL ? z->empty_text : "", .unfit = (enum wm_zoho_unfit)z->unfit,
		.digits = z->decimal_digits };
	if (st == WM_OK && !wm_zoho_zone_parse(z->time_zone, &z->policy.zone))
		return wm_fail(err, WM_FATAL,
		    "target \"%s\": \"time_zone\" is \"%s\": it has to be a distance from UTC, such as "
		    "+05:30",
		    z->base.name, z->time_zone);
	if (st == WM_OK && z->callback_url != NULL && !is_address(z->callback_url))
		return wm_fail(err, WM_FATAL,
		    "target \"%s\": \"callback_url\" has to be an address such as https://walmill.example.com, without "
		    "anything behind \"?\" or \"#\"",
		    z->base.name);
	return st;
}

static void
target_close(struct wm_target *t)
{
	wm_zoho_stages_free(of(t));
	wm_zoho_units_keep(of(t), true);
	wm_http_destroy(of(t)->http);
	of(t)->http = NULL;
	free(of(t)->own_cache);
	of(t)->own_cache = NULL;
}

/* A daemon that is started again and again must not use up the tokens that may be made: it finds the last one. */
static enum wm_status
name_cache(struct wm_zoho *z, struct wm_error *err)
{
	const char *folder = z->base.host != NULL ? z->base.host->folder : NULL;

	if (z->token_cache != NULL || folder == NULL)
		return WM_OK;
	free(z->own_cache);
	z->own_cache = wm_asprintf("%s/zoho-token-%016llx", folder,
	    (unsigned long long)wm_hash(z->refresh_token, strlen(z->refresh_token), 0));
	return z->own_cache == NULL ? wm_oom(err, "a path") : WM_OK;
}

/* A token is made, or taken from the file: wrong credentials are told here. */
static enum wm_status
sign_in(struct wm_zoho *z, struct wm_error *err)
{
	const struct wm_http_options options = { .cancel = z->base.host != NULL ? z->base.host->stop : NULL,
		.ca_file = z->ca_file };
	struct wm_zoho_login login;
	enum wm_status st = name_cache(z, err);

	if (st == WM_OK)
		st = wm_http_create(&options, &z->http, err);
	if (st != WM_OK)
		return st;
	login = wm_zoho_login_of(z);
	pthread_mutex_lock(&z->account->token_lock);
	st = wm_zoho_token_get(&login, z->http, NULL, &z->account->token, err);
	pthread_mutex_unlock(&z->account->token_lock);
	return st == WM_OK ? WM_OK : wm_error_prefix(err, "target \"%s\"", z->base.name);
}

static enum wm_status
target_open(struct wm_target *t, struct wm_error *err)
{
	struct wm_zoho *z = of(t);
	enum wm_status st = take_options(z, err);

	if (st != WM_OK)
		return st;
	z->account = wm_zoho_account_of(z);
	if (z->account == NULL)
		return wm_oom(err, "an account");
	st = wm_zoho_units_restore(z, err);
	if (st == WM_OK)
		st = sign_in(z, err);
	if (st == WM_OK)
		st = wm_zoho_find_place(z, err);
	if (st == WM_OK)
		st = wm_zoho_lost_load(z, err);
	if (st == WM_OK)
		st = wm_zoho_stages_abandon(z, err);
	if (st == WM_OK)
		wm_zoho_read_plan(z);
	else
		target_close(t);
	return st;
}

/* ---- operations ---- */

static enum wm_status
target_ensure(struct wm_target *t, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	return wm_zoho_ensure(of(t), view, ret_found, err);
}

static enum wm_status
target_write(struct wm_target *t, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	enum wm_status st = wm_zoho_write(of(t), batch, ret_bad, err);

	if (st == WM_OK)
		wm_zoho_read_plan(of(t));
	return st;
}

static enum wm_status
target_stage(struct wm_target *t, const struct wm_view *view, enum wm_stage what, struct wm_error *err)
{
	WM_AUTO(wm_zoho_sink_close) struct wm_zoho_sink s = { 0 };
	struct wm_zoho_stage *stage = wm_zoho_stage_of(of(t), view);
	enum wm_status st;

	if (what == WM_STAGE_BEGIN)
		return wm_zoho_stage_begin(of(t), view, err);
	if (what == WM_STAGE_DROP)
		return stage == NULL ? WM_OK : wm_zoho_stage_drop(stage, of(t), err);
	if (stage == NULL)
		return wm_fail(err, WM_RETRY,
		    "target \"%s\": what was put aside for view \"%s\" is lost", t->name,
		    view->name);
	if (what == WM_STAGE_READY)
		return wm_zoho_stage_ready(of(t), stage, err);
	st = wm_zoho_sink_open(&s, of(t), view, err);
	return st == WM_OK ? wm_zoho_stage_end(stage, &s, err) : st;
}

static enum wm_status
target_count(struct wm_target *t, const struct wm_view *view, uint64_t expected, uint64_t *ret, struct wm_error *err)
{
	WM_AUTO(wm_zoho_sink_close) struct wm_zoho_sink s = { 0 };
	enum wm_status st = wm_zoho_sink_open(&s, of(t), view, err);

	return st == WM_OK ? wm_zoho_count(&s, expected, ret, err) : st;
}

static enum wm_status
target_preflight(struct wm_target *t, const struct wm_view *view, struct wm_diags *findings, struct wm_error *err)
{
	return wm_zoho_preflight(of(t), view, findings, err);
}

static wm_usec
target_pace(struct wm_target *t, enum wm_priority priority)
{
	struct wm_zoho *z = of(t);
	wm_usec interval;

	if (z->account == NULL)
		return z->flush_interval;
	pthread_mutex_lock(&z->account->lock);
	interval = wm_zoho_quota_interval(&z->account->quota, priority, z->flush_interval, z->flush_interval_max,
	    wm_clock_wall());
	z->account->quota.reserve |= priority == WM_PRIORITY_HIGH;
	pthread_mutex_unlock(&z->account->lock);
	return interval;
}

static size_t
target_facts(const struct wm_target *t, struct wm_fact *ret, size_t max)
{
	const struct wm_zoho *z = (const struct wm_zoho *)t;
	struct wm_zoho_account *a = wm_zoho_account_of(z);
	wm_usec wall = wm_clock_wall();
	unsigned jobs = 0, waiting = 0;
	double seconds[WM_PRIORITIES];
	size_t n = 0;

	if (a == NULL)
		return 0;
	pthread_mutex_lock(&a->lock);
	if (a->jobs != NULL)
		wm_zoho_jobs_count(a->jobs, &jobs, &waiting);
	for (enum wm_priority p = WM_PRIORITY_LOW; p < WM_PRIORITIES; p++)
		seconds[p] = (double)wm_zoho_quota_interval(
				 &a->quota, p, z->flush_interval, z->flush_interval_max, wall) /
		    WM_SEC;
	{
		const struct wm_fact all[] = {
			{ "units_spent", a->quota.spent, "API units spent since the start", true },
			{ "units_used", a->quota.used, "API units used today, as far as is known", false },
			{ "units_left", wm_zoho_quota_left(&a->quota, wall), "API units left today; -1: not known", false },
			{ "units_per_1000_rows", a->quota.rows > 0 ? 1000 * a->quota.row_units / a->quota.rows : 0,
			    "API units that a thousand changed rows have needed", false },
			{ "units_last_s", wm_zoho_quota_lasts(&a->quota, wall),
			    "seconds until today's API units are used up; -1: not today", false },
			{ "jobs_open", jobs, "import jobs of the organisation that walmill has open", false },
			{ "jobs_waiting", waiting, "imports that wait until it has fewer", false },
			{ "views_locked", (double)wm_zoho_lost_count(a),
			    "views whose tables an import without a known key may keep locked", false },
			{ "flush_interval_s", seconds[WM_PRIORITY_NORMAL], "seconds that changes gather", false },
			{ "flush_interval_high_s", seconds[WM_PRIORITY_HIGH],
			    "seconds that changes of high priority gather", false },
			{ "flush_interval_low_s", seconds[WM_PRIORITY_LOW], "seconds that changes of low priority gather", false },
			{ "values_empty", (double)atomic_load(&a->converted.empty), "empty texts that became null", true },
			{ "values_unfit", (double)atomic_load(&a->converted.unfit),
			    "values that Zoho has nothing for, and that became null", true },
			{ "values_cut", (double)atomic_load(&a->converted.cut), "moments whose parts of a second were left out",
			    true },
		};

		for (; n < WM_ARRAY_SIZE(all) && n < max; n++)
			ret[n] = all[n];
	}
	pthread_mutex_unlock(&a->lock);
	return n;
}

/* ---- walmill zoho login ---- */

static void
http_destroyp(struct wm_http **http)
{
	wm_http_destroy(*http);
}

enum wm_status
wm_zoho_grant(const struct wm_target *t, const char *code, char **ret, struct wm_error *err)
{
	const struct wm_zoho *z = (const struct wm_zoho *)t;
	const struct wm_http_options http_options = { .ca_file = z->ca_file };
	struct wm_zoho_login login = wm_zoho_login_of(z);
	WM_AUTO(http_destroyp) struct wm_http *http = NULL;
	enum wm_status st;

	if (z->client_id == NULL || z->client_secret == NULL)
		return wm_fail(err, WM_FATAL,
		    "target \"%s\" has no \"client_id\" or no \"client_secret\" that can be read",
		    t->name);
	st = wm_http_create(&http_options, &http, err);
	return st == WM_OK ? wm_zoho_token_grant(&login, http, code, ret, err) : st;
}

/* ---- the back-end ---- */

/* As account.c has their hosts. */
static const char *const data_centers[] = { "com", "eu", "in", "com.au", "com.cn", "jp", "sa", "ca", "uk", NULL };
static const char *const unfit_words[] = { "reject", "null", NULL };

#define OPTION(n, k, field) .name = (n), .kind = WM_OPT_##k, .offset = offsetof(struct wm_zoho, field)

static const struct wm_option options[] = {
	{ OPTION("org", STRING, org), .required = true,
	    .help = "organisation: its id, or its name" },
	{ OPTION("workspace", STRING, workspace), .required = true,
	    .help = "workspace: its id, or its name" },
	{ OPTION("data_center", ENUM, data_center), .words = data_centers, .fallback = "com",
	    .help = "where the account lives" },
	{ OPTION("client_id", STRING, client_id), .required = true,
	    .help = "of the client that was registered" },
	{ OPTION("client_secret", SECRET, client_secret), .required = true,
	    .help = "of the client that was registered" },
	{ OPTION("refresh_token", SECRET, refresh_token), .required = true,
	    .help = "as `walmill zoho login` stores it" },
	{ OPTION("token_cache", PATH, token_cache),
	    .help = "file in which processes share the access token" },
	{ OPTION("api_url", STRING, api_url), .help = "in place of the data centre's API host" },
	{ OPTION("accounts_url", STRING, accounts_url),
	    .help = "in place of the data centre's host of tokens" },
	{ OPTION("ca_file", PATH, ca_file),
	    .help = "certificates to trust in place of the system's" },
	{ OPTION("callback_url", STRING, callback_url),
	    .help =
		"where Zoho reaches walmill's HTTP API, to tell that a job has ended; without it that is asked for" },
	{ OPTION("flush_interval", DURATION, flush_interval), .fallback = "60s",
	    .max = 86400 * WM_SEC, .help = "how long changes gather before they are sent" },
	{ OPTION("flush_interval_max", DURATION, flush_interval_max), .fallback = "1h",
	    .max = 86400 * WM_SEC, .help = "the same at most, when the day's units run short" },
	{ OPTION("units_per_day", INT, units_per_day), .fallback = "0", .max = 1000000000,
	    .help = "API units of the plan; 0: ask Zoho" },
	{ OPTION("units_retry", DURATION, units_retry), .fallback = "1h", .min = WM_SEC / 10,
	    .max = 86400 * WM_SEC,
	    .help = "how often to look whether there are units again, once they are used up" },
	{ OPTION("day_begins", DURATION, day_begins), .fallback = "0", .max = 86400 * WM_SEC,
	    .help = "when the day of API units begins, after 00:00 UTC" },
	{ OPTION("calls_per_minute", INT, rate_overall), .fallback = "100", .min = 1,
	    .max = WM_ZOHO_RATE_MAX, .help = "calls of any kind" },
	{ OPTION("row_calls_per_minute", INT, rate_dml), .fallback = "100", .min = 1,
	    .max = WM_ZOHO_RATE_MAX, .help = "calls that write or delete rows" },
	{ OPTION("imports_per_minute", INT, rate_bulk), .fallback = "40", .min = 1,
	    .max = WM_ZOHO_RATE_MAX, .help = "imports and questions about them" },
	{ OPTION("metadata_calls_per_minute", INT, rate_metadata), .fallback = "60", .min = 1,
	    .max = WM_ZOHO_RATE_MAX, .help = "questions about workspaces, views and columns" },
	{ OPTION("price_row", STRING, price_row), .fallback = "1",
	    .help = "API units of a row written by a call of its own" },
	{ OPTION("price_delete", STRING, price_delete), .fallback = "1",
	    .help = "API units of a row deleted" },
	{ OPTION("price_upsert", STRING, price_upsert), .fallback = "15",
	    .help = "API units of 1000 rows imported" },
	{ OPTION("price_replace", STRING, price_replace), .fallback = "10",
	    .help = "API units of 1000 rows imported into a view that is emptied" },
	{ OPTION("price_export", STRING, price_export), .fallback = "3",
	    .help = "API units of 1000 rows that are counted after a seed" },
	{ OPTION("price_metadata", STRING, price_metadata), .fallback = "5", .help = "API units of a question about views" },
	{ OPTION("price_modeling", STRING, price_modeling), .fallback = "5",
	    .help = "API units of making a table or columns" },
	{ OPTION("count_max", INT, count_max), .fallback = "10000", .max = 200000,
	    .help = "views of up to so many rows are counted after a seed" },
	{ OPTION("true_word", STRING, true_word), .fallback = "true", .help = "true in a BOOLEAN column" },
	{ OPTION("false_word", STRING, false_word), .fallback = "false", .help = "false in a BOOLEAN column" },
	{ OPTION("empty_text", STRING, empty_text), .help = "in place of an empty text; without it that is null" },
	{ OPTION("unfit_values", ENUM, unfit), .words = unfit_words, .fallback = "reject",
	    .help = "what becomes of NaN, infinity, years over 9999, too many digits" },
	{ OPTION("decimal_digits", INT, decimal_digits), .fallback = "19", .min = 1, .max = 38,
	    .help = "digits of a DECIMAL_NUMBER at most" },
	{ OPTION("time_zone", STRING, time_zone), .fallback = "+00:00",
	    .help = "distance from UTC that timestamptz is shown in" },
	{ OPTION("timeout", DURATION, timeout), .fallback = "60s", .min = WM_SEC,
	    .max = 3600 * WM_SEC, .help = "how long a call may take" },
	{ OPTION("import_timeout", DURATION, import_timeout), .fallback = "15min", .min = WM_SEC,
	    .max = 3600 * WM_SEC, .help = "how long an import may take" },
	{ OPTION("poll_interval", DURATION, poll_interval), .fallback = "10s", .min = WM_SEC / 10,
	    .max = 600 * WM_SEC, .help = "pause between two questions about an import job" },
	{ OPTION("import_max", SIZE, sync_max), .fallback = "19MiB", .min = 1, .max = 20000000,
	    .help = "size of a file that is imported at once; a larger one becomes a job" },
	{ OPTION("job_max", SIZE, job_max), .fallback = "95MiB", .min = 4096, .max = 100000000,
	    .help = "size of a job's file" },
	{ OPTION("config_in_url", BOOL, config_in_url), .fallback = "no",
	    .help = "send parameters in the address rather than in the body" },
	{ .name = NULL },
};

static const char *const schemes[] = { NULL };

const struct wm_target_ops wm_target_zoho_analytics_ops = {
	.type = "zoho_analytics",
	.schemes = schemes,
	.size = sizeof(struct wm_zoho),
	.options = options,
	.open = target_open,
	.ensure = target_ensure,
	.write = target_write,
	.close = target_close,
	.preflight = target_preflight,
	.stage = target_stage,
	.count = target_count,
	.pace = target_pace,
	.facts = target_facts,
	.callback = wm_zoho_callback_take,
};
