/* SPDX-License-Identifier: PostgreSQL */
/*
 * metrics.c - a snapshot in Prometheus' text format.
 *
 * Tables of metrics; one family's samples stand together, as the format wants it.  Names are
 * the interface: none is renamed.
 */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "walmill/admin.h"


enum value_kind { COUNT, SECONDS, OPTIONAL };

struct metric {
	const char	*name, *type, *help;
	enum value_kind	 kind;
	size_t		 offset;	/* into the status struct: uint64_t, double, int64_t (negative: no series) */
};

#define SOURCE(field) COUNT, offsetof(struct wm_source_status, field)
#define SLOT(field) OPTIONAL, offsetof(struct wm_source_status, slot.field)
static const struct metric source_metrics[] = {
	{ "walmill_source_received_lsn", "gauge", "Last position received from the source", SOURCE(received_lsn) },
	{ "walmill_source_acknowledged_lsn", "gauge", "Position the source was told is safe", SOURCE(acknowledged_lsn) },
	{ "walmill_source_server_lsn", "gauge", "Write position of the source's server", SOURCE(server_lsn) },
	{ "walmill_source_lag_bytes", "gauge", "WAL the source keeps for walmill", SOURCE(lag_bytes) },
	{ "walmill_source_transactions_total", "counter", "Transactions received", SOURCE(transactions) },
	{ "walmill_source_changes_total", "counter", "Row changes received", SOURCE(changes) },
	{ "walmill_source_reconnects_total", "counter", "Times the stream was started again", SOURCE(reconnects) },
	{ "walmill_source_quiet_seconds", "gauge", "Seconds since the stream last came further", SECONDS,
	    offsetof(struct wm_source_status, quiet_s) },
	{ "walmill_source_journal_bytes", "gauge", "Bytes kept until every target has them", SOURCE(journal_bytes) },
	{ "walmill_source_journal_max_bytes", "gauge", "Bound of those bytes, 0 without a durable journal",
	    SOURCE(journal_max_bytes) },
	{ "walmill_source_prepared_transactions", "gauge", "Transactions that are prepared at the source, and kept",
	    SOURCE(prepared) },
	{ "walmill_source_waiting_bytes", "gauge", "Bytes of transactions that have not ended", SOURCE(waiting_bytes) },
	{ "walmill_source_slot_retained_bytes", "gauge", "WAL the server keeps for the slot", SLOT(retained) },
	{ "walmill_source_slot_budget_bytes", "gauge", "WAL it may keep; absent without a limit", SLOT(budget) },
	{ "walmill_source_slot_left_bytes", "gauge", "WAL that may be written until the slot is in danger", SLOT(left) },
	{ "walmill_source_slot_exhausted_seconds", "gauge", "When that will be, at the rate of the last minutes; absent "
	    "when it is not in sight", SLOT(exhausted_s) },
};

#define TARGET(field) COUNT, offsetof(struct wm_target_status, field)
static const struct metric target_metrics[] = {
	{ "walmill_target_applied_lsn", "gauge", "Position up to which the target is complete", TARGET(applied_lsn) },
	{ "walmill_target_lag_bytes", "gauge", "WAL between the source and the target", TARGET(lag_bytes) },
	{ "walmill_target_lag_seconds", "gauge", "Age of the oldest commit the target lacks", SECONDS,
	    offsetof(struct wm_target_status, lag_s) },
	{ "walmill_target_rows_written_total", "counter", "Rows stored", TARGET(rows_written) },
	{ "walmill_target_batches_total", "counter", "Batches stored", TARGET(batches) },
	{ "walmill_target_retries_total", "counter", "Attempts repeated after an error", TARGET(retries) },
};

#define RULE(field) COUNT, offsetof(struct wm_rule_status, field)
static const struct metric rule_metrics[] = {
	{ "walmill_rule_seed_rows_read", "gauge", "Rows the seed has read at the source", RULE(rows_read) },
	{ "walmill_rule_seed_rows_accepted", "gauge", "Rows of the seed the target has taken", RULE(rows_seeded) },
	{ "walmill_rule_seed_rows_expected", "gauge", "Rows the seed will read (estimate until it ends)",
	    RULE(seed_total) },
	{ "walmill_rule_inserts_total", "counter", "Inserts applied", RULE(inserts) },
	{ "walmill_rule_updates_total", "counter", "Updates applied", RULE(updates) },
	{ "walmill_rule_deletes_total", "counter", "Deletes applied", RULE(deletes) },
	{ "walmill_rule_truncates_total", "counter", "Truncates applied", RULE(truncates) },
	{ "walmill_rule_dead_letters", "gauge", "Rows refused and kept for a retry", RULE(dead_letters) },
	{ "walmill_rule_changes_waiting", "gauge", "Changes that gather where each write has its price", RULE(waiting) },
	{ "walmill_rule_rereads_total", "counter", "Rows read again at the source", RULE(rereads) },
};

static const char *const source_states[] = { "connecting", "streaming", "stalled", "retrying", "failed", "stopped" };
static const char *const slot_states[] = { "reserved", "extended", "unreserved", "lost" };
static const char *const journal_states[] = { "ok", "off", "full", "no_space", "failed" };
static const char *const target_states[] = { "ok", "retrying", "failed" };
static const char *const rule_states[] = { "seeding", "streaming", "paused", "failed" };

static void
head(struct wm_buf *out, const char *name, const char *type, const char *help)
{
	wm_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
label(struct wm_buf *out, const char *name, const char *value)
{
	wm_buf_addf(out, "%s=\"", name);
	for (const char *p = value == NULL ? "" : value; *p != '\0'; p++) {
		if (*p == '\n')
			wm_buf_adds(out, "\\n");
		else if (*p == '"' || *p == '\\')
			wm_buf_addf(out, "\\%c", *p);
		else
			wm_buf_addc(out, *p);
	}
	wm_buf_addc(out, '"');
}

static void
source_labels(struct wm_buf *out, const void *item)
{
	const struct wm_source_status *s = item;

	label(out, "source", s->name);
}

static void
target_labels(struct wm_buf *out, const void *item)
{
	const struct wm_target_status *t = item;

	label(out, "target", t->name);
	label(out, ",type", t->type);
}

/* A rule with a glob has one status a table, so that the table is part of what names a series. */
static void
rule_labels(struct wm_buf *out, const void *item)
{
	const struct wm_rule_status *r = item;

	label(out, "rule", r->name);
	label(out, ",source", r->source);
	label(out, ",target", r->target);
	label(out, ",table", r->table);
	label(out, ",view", r->view);
}

/* One kind of thing that has metrics: n items of size bytes. */
struct family {
	const char		*state_name, *state_help;
	const void		*items;
	size_t			 n, size, state_offset;
	void			(*labels)(struct wm_buf *out, const void *item);
	const struct metric	*metrics;
	size_t			 nmetrics;
	const char *const	*states;
	size_t			 nstates;
};

static const void *
item_at(const struct family *f, size_t i)
{
	return (const char *)f->items + i * f->size;
}

static void
add_value(struct wm_buf *out, const struct metric *m, const void *item)
{
	const char *at = (const char *)item + m->offset;
	uint64_t count;
	double seconds;

	if (m->kind != SECONDS) {
		memcpy(&count, at, sizeof(count));
		wm_buf_addf(out, "%" PRIu64 "\n", count);
	} else {
		memcpy(&seconds, at, sizeof(seconds));
		wm_buf_addf(out, "%.6f\n", isfinite(seconds) ? seconds : 0.0);
	}
}

static bool
has_value(const struct metric *m, const void *item)
{
	int64_t value;

	memcpy(&value, (const char *)item + m->offset, sizeof(value));
	return m->kind != OPTIONAL || value >= 0;
}

static void
add_states(struct wm_buf *out, const struct family *f)
{
	head(out, f->state_name, "gauge", f->state_help);
	for (size_t i = 0; i < f->n; i++) {
		const char *state;

		memcpy(&state, (const char *)item_at(f, i) + f->state_offset, sizeof(state));
		for (size_t k = 0; k < f->nstates; k++) {
			wm_buf_addf(out, "%s{", f->state_name);
			f->labels(out, item_at(f, i));
			wm_buf_addf(out, ",state=\"%s\"} %d\n", f->states[k],
			    state != NULL && strcmp(state, f->states[k]) == 0);
		}
	}
}

static void
add_family(struct wm_buf *out, const struct family *f)
{
	add_states(out, f);
	for (size_t k = 0; k < f->nmetrics; k++) {
		const struct metric *m = &f->metrics[k];

		head(out, m->name, m->type, m->help);
		for (size_t i = 0; i < f->n; i++) {
			if (!has_value(m, item_at(f, i)))
				continue;
			wm_buf_addf(out, "%s{", m->name);
			f->labels(out, item_at(f, i));
			wm_buf_adds(out, "} ");
			add_value(out, m, item_at(f, i));
		}
	}
}

static bool
has_fact(const struct wm_target_status *t, const char *name)
{
	for (size_t i = 0; i < t->nfacts; i++)
		if (strcmp(t->facts[i].name, name) == 0)
			return true;
	return false;
}

/* The same fact of several targets is one metric, which is shown with the first that has it. */
static bool
is_shown(const struct wm_snapshot *s, size_t upto, const char *name)
{
	for (size_t i = 0; i < upto; i++)
		if (has_fact(&s->targets[i], name))
			return true;
	return false;
}

static void
add_fact(struct wm_buf *out, const struct wm_snapshot *s, size_t from, const struct wm_fact *first)
{
	char name[100];

	(void)snprintf(name, sizeof(name), "walmill_target_%s%s", first->name, first->counter ? "_total" : "");
	head(out, name, first->counter ? "counter" : "gauge", first->help);
	for (size_t i = from; i < s->ntargets; i++) {
		const struct wm_target_status *t = &s->targets[i];

		for (size_t k = 0; k < t->nfacts; k++) {
			if (strcmp(t->facts[k].name, first->name) != 0 || t->facts[k].value < 0)
				continue;
			wm_buf_addf(out, "%s{", name);
			target_labels(out, t);
			wm_buf_addf(out, "} %.3f\n", t->facts[k].value);
		}
	}
}

static void
add_facts(struct wm_buf *out, const struct wm_snapshot *s)
{
	for (size_t i = 0; i < s->ntargets; i++)
		for (size_t k = 0; k < s->targets[i].nfacts; k++)
			if (!is_shown(s, i, s->targets[i].facts[k].name))
				add_fact(out, s, i, &s->targets[i].facts[k]);
}

/* Receivers at one host have one name that may be shown, and one series. */
static void
add_deliveries(struct wm_buf *out, const struct wm_alerts_status *s, const char *name, const char *help, size_t offset)
{
	head(out, name, "counter", help);
	for (size_t i = 0; i < s->nreceivers; i++) {
		uint64_t sum = 0, count;
		size_t first = s->nreceivers;

		for (size_t k = 0; k < s->nreceivers; k++) {
			if (strcmp(s->receivers[k].to, s->receivers[i].to) != 0)
				continue;
			first = k < first ? k : first;
			memcpy(&count, (const char *)&s->receivers[k] + offset, sizeof(count));
			sum += count;
		}
		if (first != i)
			continue;
		wm_buf_addf(out, "%s{", name);
		label(out, "to", s->receivers[i].to);
		wm_buf_addf(out, "} %" PRIu64 "\n", sum);
	}
}

static void
add_alerts(struct wm_buf *out, const struct wm_alerts_status *s)
{
	head(out, "walmill_alert_active", "gauge", "1 while the alert's condition stands");
	for (size_t i = 0; i < s->nalerts; i++) {
		wm_buf_adds(out, "walmill_alert_active{");
		label(out, "kind", s->alerts[i].kind);
		label(out, ",object", s->alerts[i].object);
		wm_buf_addf(out, "} %d\n", s->alerts[i].active);
	}
	add_deliveries(out, s, "walmill_alerts_sent_total", "Messages that a receiver of alerts has taken",
	    offsetof(struct wm_receiver_status, sent));
	add_deliveries(out, s, "walmill_alerts_failed_total", "Attempts to tell a receiver of alerts that failed",
	    offsetof(struct wm_receiver_status, failed));
}

void
wm_admin_render_metrics(const struct wm_snapshot *s, struct wm_buf *out)
{
	const struct family families[] = {
		{ "walmill_source_state", "1 for the state the source is in", s->sources, s->nsources,
		    sizeof(*s->sources), offsetof(struct wm_source_status, state), source_labels, source_metrics,
		    WM_ARRAY_SIZE(source_metrics), source_states, WM_ARRAY_SIZE(source_states) },
		{ "walmill_source_journal_state", "1 for the state the journal is in", s->sources, s->nsources,
		    sizeof(*s->sources), offsetof(struct wm_source_status, journal_state), source_labels, NULL, 0,
		    journal_states, WM_ARRAY_SIZE(journal_states) },
		{ "walmill_source_slot_state", "1 for the wal_status of the slot", s->sources, s->nsources,
		    sizeof(*s->sources), offsetof(struct wm_source_status, slot.wal_status), source_labels, NULL, 0,
		    slot_states, WM_ARRAY_SIZE(slot_states) },
		{ "walmill_target_state", "1 for the state the target is in", s->targets, s->ntargets,
		    sizeof(*s->targets), offsetof(struct wm_target_status, state), target_labels, target_metrics,
		    WM_ARRAY_SIZE(target_metrics), target_states, WM_ARRAY_SIZE(target_states) },
		{ "walmill_rule_state", "1 for the state the rule is in", s->rules, s->nrules,
		    sizeof(*s->rules), offsetof(struct wm_rule_status, state), rule_labels, rule_metrics,
		    WM_ARRAY_SIZE(rule_metrics), rule_states, WM_ARRAY_SIZE(rule_states) },
	};

	head(out, "walmill_build_info", "gauge", "The version that runs");
	wm_buf_addf(out, "walmill_build_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	head(out, "walmill_uptime_seconds", "gauge", "Seconds since the start");
	wm_buf_addf(out, "walmill_uptime_seconds %.3f\n", s->uptime_s);
	head(out, "walmill_latency_seconds", "gauge", "From commit at the source to visible in the target, of the last "
	    "transactions; 0 when none was measured");
	wm_buf_addf(out, "walmill_latency_seconds{quantile=\"0.5\"} %.6f\n", s->latency_p50);
	wm_buf_addf(out, "walmill_latency_seconds{quantile=\"0.99\"} %.6f\n", s->latency_p99);
	for (size_t i = 0; i < WM_ARRAY_SIZE(families); i++)
		add_family(out, &families[i]);
	add_facts(out, s);
	add_alerts(out, &s->alerts);
}
