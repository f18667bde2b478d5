/* SPDX-License-Identifier: PostgreSQL */
/*
 * status.c - a snapshot as the JSON of GET /v1/status.
 *
 * Names and states are the interface: nothing that stands here is renamed.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walmill/admin.h"

/* cJSON keeps numbers as doubles: counters go in as text, exact to the last digit. */
static bool
add_count(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	return cJSON_AddRawToObject(object, name, text) != NULL;
}

static bool
add_lsn(cJSON *object, const char *name, wm_lsn lsn)
{
	char text[WM_LSN_STRLEN];

	return cJSON_AddStringToObject(object, name, wm_lsn_format(lsn, text)) != NULL;
}

static bool
add_text(cJSON *object, const char *name, const char *text)
{
	return (text == NULL ? cJSON_AddNullToObject(object, name) :
			       cJSON_AddStringToObject(object, name, text)) != NULL;
}

static bool
add_number(cJSON *object, const char *name, double value)
{
	/* Milliseconds are as exact as anything here is measured. */
	char text[40];

	snprintf(text, sizeof(text), "%.3f", value);
	return cJSON_AddRawToObject(object, name, text) != NULL;
}

/* null for what there is not */
static bool
add_size(cJSON *object, const char *name, int64_t value)
{
	return value < 0 ? cJSON_AddNullToObject(object, name) != NULL : add_count(object, name, (uint64_t)value);
}

static bool
add_slot(cJSON *o, const struct wm_slot_status *s)
{
	cJSON *slot;

	if (s->wal_status == NULL)
		return cJSON_AddNullToObject(o, "slot") != NULL;
	slot = cJSON_AddObjectToObject(o, "slot");
	return slot != NULL && add_text(slot, "wal_status", s->wal_status) &&
	    add_size(slot, "retained_bytes", s->retained) && add_size(slot, "budget_bytes", s->budget) &&
	    add_size(slot, "left_bytes", s->left) && add_size(slot, "exhausted_in_s", s->exhausted_s);
}

static bool
add_source(cJSON *o, const struct wm_source_status *s)
{
	return add_text(o, "name", s->name) && add_text(o, "slot_name", s->slot_name) &&
	    add_text(o, "state", s->state) && add_lsn(o, "received_lsn", s->received_lsn) &&
	    add_lsn(o, "acknowledged_lsn", s->acknowledged_lsn) &&
	    add_lsn(o, "server_lsn", s->server_lsn) && add_count(o, "lag_bytes", s->lag_bytes) &&
	    add_count(o, "transactions", s->transactions) && add_count(o, "changes", s->changes) &&
	    add_count(o, "reconnects", s->reconnects) && add_number(o, "quiet_s", s->quiet_s) &&
	    add_count(o, "journal_bytes", s->journal_bytes) &&
	    add_count(o, "journal_max_bytes", s->journal_max_bytes) && add_text(o, "journal_state", s->journal_state) &&
	    add_count(o, "prepared", s->prepared) && add_count(o, "waiting_bytes", s->waiting_bytes) &&
	    add_slot(o, &s->slot) && add_text(o, "last_error", s->last_error);
}

/* Of a target that has something to tell only. */
static bool
add_facts(cJSON *o, const struct wm_target_status *t)
{
	cJSON *facts = t->nfacts == 0 ? NULL : cJSON_AddObjectToObject(o, "facts");

	for (size_t i = 0; facts != NULL && i < t->nfacts; i++)
		if (t->facts[i].value < 0 ? cJSON_AddNullToObject(facts, t->facts[i].name) == NULL :
		    !add_number(facts, t->facts[i].name, t->facts[i].value))
			return false;
	return t->nfacts == 0 || facts != NULL;
}

static bool
add_target(cJSON *o, const struct wm_target_status *t)
{
	return add_text(o, "name", t->name) && add_text(o, "type", t->type) && add_text(o, "state", t->state) &&
	    add_lsn(o, "applied_lsn", t->applied_lsn) && add_count(o, "lag_bytes", t->lag_bytes) &&
	    add_number(o, "lag_s", t->lag_s) && add_count(o, "rows_written", t->rows_written) &&
	    add_count(o, "batches", t->batches) && add_count(o, "retries", t->retries) && add_facts(o, t) &&
	    add_text(o, "last_error", t->last_error);
}

/* How long the seed will take. */
static bool
add_left(cJSON *o, double left)
{
	return left < 0 ? cJSON_AddNullToObject(o, "seed_left_s") != NULL : add_number(o, "seed_left_s", left);
}

static bool
add_rule(cJSON *o, const struct wm_rule_status *r)
{
	return add_text(o, "name", r->name) && add_text(o, "source", r->source) && add_text(o, "target", r->target) &&
	    add_text(o, "table", r->table) && add_text(o, "view", r->view) && add_text(o, "state", r->state) &&
	    add_count(o, "rows_seeded", r->rows_seeded) && add_count(o, "rows_read", r->rows_read) &&
	    add_count(o, "seed_total", r->seed_total) && add_number(o, "seed_rows_per_s", r->seed_rows_per_s) &&
	    add_left(o, r->seed_left_s) && add_count(o, "inserts", r->inserts) &&
	    add_count(o, "updates", r->updates) && add_count(o, "deletes", r->deletes) &&
	    add_count(o, "truncates", r->truncates) && add_count(o, "dead_letters", r->dead_letters) &&
	    add_count(o, "rereads", r->rereads) && add_text(o, "priority", r->priority) &&
	    add_count(o, "waiting", r->waiting) && add_text(o, "last_error", r->last_error);
}

static bool
add_alert(cJSON *o, const struct wm_alert_status *a)
{
	char full[40], since[40];

	snprintf(since, sizeof(since), "%.19sZ", wm_clock_format(a->since, full, sizeof(full)));
	return add_text(o, "kind", a->kind) && add_text(o, "type", a->type) && add_text(o, "object", a->object) &&
	    add_text(o, "since", since) && add_text(o, "reason", a->text);
}

static bool
add_receiver(cJSON *o, const struct wm_receiver_status *r)
{
	return add_text(o, "to", r->to) && add_count(o, "sent", r->sent) && add_count(o, "failed", r->failed) &&
	    add_text(o, "last_error", r->last_error);
}

static cJSON *
add_item(cJSON *list)
{
	cJSON *item = cJSON_CreateObject();

	if (item != NULL && !cJSON_AddItemToArray(list, item)) {
		cJSON_Delete(item);
		return NULL;
	}
	return item;
}

static bool
add_alerts(cJSON *root, const struct wm_alerts_status *s)
{
	cJSON *alerts = cJSON_AddArrayToObject(root, "alerts"), *item;
	cJSON *receivers = cJSON_AddArrayToObject(root, "alert_receivers");

	if (alerts == NULL || receivers == NULL)
		return false;
	for (size_t i = 0; i < s->nalerts; i++)
		if (s->alerts[i].active && ((item = add_item(alerts)) == NULL || !add_alert(item, &s->alerts[i])))
			return false;
	for (size_t i = 0; i < s->nreceivers; i++)
		if ((item = add_item(receivers)) == NULL || !add_receiver(item, &s->receivers[i]))
			return false;
	return true;
}

static bool
fill(cJSON *root, const struct wm_snapshot *s)
{
	cJSON *sources, *targets, *rules, *item;

	if (!add_text(root, "version", PACKAGE_VERSION) || !add_count(root, "pid", (uint64_t)getpid()) ||
	    !add_number(root, "uptime_s", s->uptime_s) ||
	    (sources = cJSON_AddArrayToObject(root, "sources")) == NULL ||
	    (targets = cJSON_AddArrayToObject(root, "targets")) == NULL ||
	    (rules = cJSON_AddArrayToObject(root, "rules")) == NULL ||
	    !add_number(root, "latency_p50_s", s->latency_p50) || !add_number(root, "latency_p99_s", s->latency_p99))
		return false;
	for (size_t i = 0; i < s->nsources; i++)
		if ((item = add_item(sources)) == NULL || !add_source(item, &s->sources[i]))
			return false;
	for (size_t i = 0; i < s->ntargets; i++)
		if ((item = add_item(targets)) == NULL || !add_target(item, &s->targets[i]))
			return false;
	for (size_t i = 0; i < s->nrules; i++)
		if ((item = add_item(rules)) == NULL || !add_rule(item, &s->rules[i]))
			return false;
	return add_alerts(root, &s->alerts);
}

void
wm_admin_render_status(const struct wm_snapshot *s, struct wm_buf *out)
{
	cJSON *root = cJSON_CreateObject();
	char *text = root != NULL && fill(root, s) ? cJSON_PrintUnformatted(root) : NULL;

	if (text == NULL)
		out->failed = true;
	else
		wm_buf_adds(out, text);
	cJSON_free(text);
	cJSON_Delete(root);
}
