/* SPDX-License-Identifier: PostgreSQL */
/*
 * check_source.c - the preflight of a source's server: settings, privileges, slot.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "walmill/strutil.h"

#define VERSION_MIN 100000		/* pgoutput */
#define VERSION_STANDBY 160000		/* logical decoding on a standby */
#define SENDER_TIMEOUT_MIN 5000		/* ms; below, a pause of the network ends the stream */

struct server {
	struct wm_check			*check;
	const struct wm_source_config	*source;
	char				 subject[100];
	char				 wal_level[20], user[64];
	bool				 standby, may_create;
	int64_t				 slots, slots_used, senders, senders_used, keep_mb, sender_timeout, prepared;
	int64_t				 slots_missing, idle;	/* lanes that have no slot yet; that no server process serves */
};

static int64_t
number(const PGresult *res, int column)
{
	int64_t n;

	return wm_parse_i64(PQgetvalue(res, 0, column), &n) ? n : -1;
}

static enum wm_status
read_server(struct wm_pg *c, struct server *s, struct wm_error *err)
{
	static const char sql[] =
	    "SELECT current_setting('wal_level'), current_user, pg_is_in_recovery(), "
	    "has_database_privilege(current_database(), 'CREATE'), current_setting('max_replication_slots'), "
	    "(SELECT count(*) FROM pg_replication_slots), current_setting('max_wal_senders'), "
	    "(SELECT count(*) FROM pg_stat_replication), "
	    "(SELECT setting FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), "
	    "(SELECT setting FROM pg_settings WHERE name = 'wal_sender_timeout'), "
	    "current_setting('max_prepared_transactions')";
	WM_AUTO(wm_pg_clearp) PGresult *res = NULL;
	enum wm_status status = wm_pg_query(c, sql, 0, NULL, "could not read the server's settings", &res, err);

	if (status != WM_OK)
		return status;
	snprintf(s->wal_level, sizeof(s->wal_level), "%s", PQgetvalue(res, 0, 0));
	snprintf(s->user, sizeof(s->user), "%s", PQgetvalue(res, 0, 1));
	s->standby = PQgetvalue(res, 0, 2)[0] == 't';
	s->may_create = PQgetvalue(res, 0, 3)[0] == 't';
	s->slots = number(res, 4);
	s->slots_used = number(res, 5);
	s->senders = number(res, 6);
	s->senders_used = number(res, 7);
	s->keep_mb = number(res, 8);
	s->sender_timeout = number(res, 9);
	s->prepared = number(res, 10);
	return WM_OK;
}

static void
check_two_phase(const struct server *s, int version)
{
	if (!s->source->two_phase)
		return;
	if (version < WM_SLOT_TWO_PHASE)
		wm_diags_add(&s->check->findings, WM_WARNING, s->subject, "leave \"two_phase\" out",
		    "\"two_phase: true\" has no effect: servers send prepared transactions from PostgreSQL 15 on; they come "
		    "when they commit");
	else if (s->prepared == 0)
		wm_diags_add(&s->check->findings, WM_WARNING, s->subject, "leave \"two_phase\" out",
		    "\"two_phase: true\" has no effect: max_prepared_transactions is 0, so that nothing can be prepared");
}

static void
check_settings(const struct server *s, int version)
{
	struct wm_diags *d = &s->check->findings;

	if (version < VERSION_MIN)
		wm_diags_add(d, WM_ERROR, s->subject, "upgrade the server",
		    "PostgreSQL %d is too old, 10 or later is needed", version / 10000);
	if (strcmp(s->wal_level, "logical") == 0)
		wm_diags_add(d, WM_NOTE, s->subject, NULL, "wal_level is logical");
	else
		wm_diags_add(d, WM_ERROR, s->subject,
		    "run: ALTER SYSTEM SET wal_level = logical, and restart the server",
		    "wal_level is %s, it must be logical", s->wal_level);
	if (s->standby && version < VERSION_STANDBY)
		wm_diags_add(d, WM_ERROR, s->subject, "use the primary's address",
		    "the server is a standby; before PostgreSQL 16 "
		    "only a primary can be followed");
	else if (s->standby)
		wm_diags_add(d, WM_WARNING, s->subject,
		    "make the publication at the primary and set \"manage: false\", or use "
		    "the primary's address",
		    "the server is a standby, where no publication can be made");
	if (s->source->failover == WM_FAILOVER_ON && (version < WM_SLOT_FAILOVER || s->standby))
		wm_diags_add(d, WM_WARNING, s->subject, "leave \"failover\" out",
		    "\"failover: true\" has no effect: standbys keep copies of slots from PostgreSQL 17 on, of slots of a "
		    "primary");
	check_two_phase(s, version);
	if (s->keep_mb == -1)
		wm_diags_add(d, WM_WARNING, s->subject, "set max_slot_wal_keep_size to what the disk can spare",
		    "max_slot_wal_keep_size is not set: while walmill is stopped its slot keeps WAL without a limit");
	if (s->sender_timeout > 0 && s->sender_timeout < SENDER_TIMEOUT_MIN)
		wm_diags_add(d, WM_WARNING, s->subject, "set it to 60s",
		    "wal_sender_timeout is %lld ms: a short pause of the "
		    "network ends the stream",
		    (long long)s->sender_timeout);
}

/* The only test that also sees pg_hba.conf and what hosted servers make of the REPLICATION attribute. */
static void
check_replication(const struct server *s)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	struct wm_error err;
	char fix[240];

	if (s->senders > s->senders_used && s->source->lanes > 1 && s->senders - s->senders_used < s->idle)
		wm_diags_add(&s->check->findings, WM_ERROR, s->subject, "raise max_wal_senders and restart the server",
		    "%lld WAL senders are needed for its slots, %lld of %lld are free", (long long)s->idle,
		    (long long)(s->senders - s->senders_used), (long long)s->senders);
	if (s->senders_used >= s->senders && s->senders >= 0) {
		wm_diags_add(&s->check->findings, WM_ERROR, s->subject, "raise max_wal_senders and restart the server",
		    "all %lld WAL senders are in use", (long long)s->senders);
		return;
	}
	snprintf(fix, sizeof(fix), "run: ALTER ROLE \"%s\" REPLICATION, and see that pg_hba.conf lets it in", s->user);
	if (wm_pg_connect(s->source->uri, WM_PG_REPLICATION, "walmill check", &c, &err) != WM_OK)
		wm_diags_add(&s->check->findings, WM_ERROR, s->subject, fix, "no replication connection: %s", err.text);
	else
		wm_diags_add(&s->check->findings, WM_NOTE, s->subject, NULL, "role \"%s\" may replicate", s->user);
}

static void
check_existing_slot(const struct server *s, const struct wm_slot_info *info)
{
	struct wm_diags *d = &s->check->findings;
	const char *slot = s->source->slot;

	if (strcmp(info->plugin, "pgoutput") != 0)
		wm_diags_add(d, WM_ERROR, s->subject, "choose another name with \"slot:\"",
		    "slot \"%s\" exists, with plugin "
		    "\"%s\" instead of pgoutput",
		    slot, info->plugin);
	else if (!info->same_database)
		wm_diags_add(d, WM_ERROR, s->subject, "choose another name with \"slot:\"",
		    "slot \"%s\" belongs to database "
		    "\"%s\"",
		    slot, info->database);
	else if (info->lost && s->source->on_slot_lost == WM_SLOT_LOST_SEED)
		wm_diags_add(d, WM_WARNING, s->subject,
		    "raise max_slot_wal_keep_size, if that is why it was lost",
		    "slot \"%s\" is lost (%s): walmill will make a new one and seed all rules again, as \"on_slot_lost: "
		    "seed\" says",
		    slot, info->invalidation);
	else if (info->lost)
		wm_diags_add(d, WM_ERROR, s->subject, "run \"walmill teardown\" and seed again",
		    "slot \"%s\" is lost (%s): the "
		    "server has removed WAL that it needs",
		    slot, info->invalidation);
	else
		wm_diags_add(d, WM_NOTE, s->subject, NULL, "slot \"%s\" exists%s", slot,
		    info->active ? " and is in use" : "");
}

static void
check_slot(const struct server *s, struct wm_pg *c)
{
	struct wm_diags *d = &s->check->findings;
	struct wm_slot_info info;
	struct wm_error err;

	if (wm_slot_info(c, s->source->slot, &info, &err) != WM_OK)
		wm_diags_add(d, WM_ERROR, s->subject, NULL, "%s", err.text);
	else if (info.exists)
		check_existing_slot(s, &info);
	else if (!s->source->manage)
		wm_diags_add(d, WM_ERROR, s->subject,
		    "make it with pg_create_logical_replication_slot(NAME, 'pgoutput'), or drop "
		    "\"manage: false\"",
		    "slot \"%s\" does not exist", s->source->slot);
	else if (s->slots_used >= s->slots && s->slots >= 0)
		wm_diags_add(d, WM_ERROR, s->subject,
		    "raise max_replication_slots and restart the server, or drop a slot that "
		    "nobody uses",
		    "all %lld replication slots are taken", (long long)s->slots);
	else if (s->slots - s->slots_used < s->slots_missing && s->slots >= 0)
		wm_diags_add(d, WM_ERROR, s->subject,
		    "raise max_replication_slots and restart the server, drop slots that nobody uses, or lower \"slots\"",
		    "%lld more replication slots are needed, %lld of %lld are free",
		    (long long)s->slots_missing, (long long)(s->slots - s->slots_used),
		    (long long)s->slots);
	else
		wm_diags_add(d, WM_NOTE, s->subject, NULL, "%lld of %lld replication slots are free",
		    (long long)(s->slots - s->slots_used), (long long)s->slots);
}

static void
check_publication(const struct server *s, struct wm_pg *c)
{
	struct wm_diags *d = &s->check->findings;
	struct wm_error err;
	char fix[240];
	bool exists;

	if (!s->source->manage)
		return;			/* the tables' check looks into it */
	if (wm_publication_exists(c, s->source->publication, &exists, &err) != WM_OK) {
		wm_diags_add(d, WM_ERROR, s->subject, NULL, "%s", err.text);
		return;
	}
	snprintf(fix, sizeof(fix), "run: GRANT CREATE ON DATABASE \"%s\" TO \"%s\"", PQdb(wm_pg_conn(c)), s->user);
	if (exists)
		wm_diags_add(d, WM_NOTE, s->subject, NULL, "publication \"%s\" exists", s->source->publication);
	else if (!s->may_create)
		wm_diags_add(d, WM_ERROR, s->subject, fix, "role \"%s\" may not make a publication", s->user);
}

/* What its lanes still need of the server; one that cannot be looked up is told of later. */
static void
count_lanes(struct server *s, struct wm_pg *c)
{
	for (int64_t i = 0; i < s->source->lanes; i++) {
		struct wm_slot_info info = { 0 };
		struct wm_error err;

		if (wm_slot_info(c, s->source[i].slot, &info, &err) != WM_OK)
			continue;
		s->slots_missing += !info.exists;
		s->idle += !info.active;
	}
}

void
wm_check_server(struct wm_check *check, const struct wm_source_config *source, struct wm_pg **ret)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	struct server s = { .check = check, .source = source };
	struct wm_error err;

	*ret = NULL;
	snprintf(s.subject, sizeof(s.subject), "source \"%.80s\"", source->name);
	if (wm_pg_connect(source->uri, WM_PG_SQL, "walmill check", &c, &err) != WM_OK ||
	    read_server(c, &s, &err) != WM_OK) {
		wm_diags_add(&check->findings, WM_ERROR, s.subject,
		    "see that the server runs, and that host, port, database, "
		    "user and password in its \"uri\" are right",
		    "%s", err.text);
		return;
	}
	wm_diags_add(&check->findings, WM_NOTE, s.subject, NULL, "reachable (%s, PostgreSQL %s)", wm_pg_where(c),
	    PQparameterStatus(wm_pg_conn(c), "server_version"));
	check_settings(&s, wm_pg_version(c));
	count_lanes(&s, c);
	check_replication(&s);
	for (int64_t i = 0; i < source->lanes; i++) {
		s.source = &source[i];
		snprintf(s.subject, sizeof(s.subject), "source \"%.80s\"", s.source->name);
		check_slot(&s, c);
		check_publication(&s, c);
	}
	*ret = c;
	c = NULL;
}
