/* SPDX-License-Identifier: PostgreSQL */
/*
 * fingerprint.c - a hash over all of a rule that decides which rows its view holds.
 *
 * Order and spelling in the file do not matter: the hashes of a list's members are added up.
 */
#include <string.h>

#include "rule.h"
#include "walmill/strutil.h"

/* Lengths keep neighbours apart; NULL differs from every text. */
static uint64_t
hash_text(const char *text, uint64_t h)
{
	size_t n = text != NULL ? strlen(text) : SIZE_MAX;

	h = wm_hash(&n, sizeof(n), h);
	return text != NULL ? wm_hash(text, n, h) : h;
}

static uint64_t
hash_number(uint64_t number, uint64_t h)
{
	return wm_hash(&number, sizeof(number), h);
}

static uint64_t
hash_names(const struct wm_names *names, uint64_t h)
{
	uint64_t sum = names->n;

	for (size_t i = 0; i < names->n; i++)
		sum += hash_text(names->list[i], 0);
	return hash_number(sum, h);
}

static uint64_t
hash_settings(const struct wm_settings *settings, uint64_t h)
{
	uint64_t sum = settings->n;

	for (size_t i = 0; i < settings->n; i++)
		sum += hash_text(settings->list[i].value, hash_text(settings->list[i].column, 0));
	return hash_number(sum, h);
}

uint64_t
wm_rule_fingerprint(const struct wm_rule *rule)
{
	uint64_t h = hash_text(rule->source, 0), sum = rule->ntranslate;

	h = hash_text(rule->target, h);
	h = hash_text(rule->view, h);
	h = hash_text(rule->where, h);
	h = hash_names(&rule->tables, h);
	h = hash_names(&rule->key, h);
	h = hash_names(&rule->include, h);
	h = hash_names(&rule->exclude, h);
	h = hash_settings(&rule->rename, h);
	h = hash_settings(&rule->compute, h);
	h = hash_settings(&rule->mask, h);
	h = hash_settings(&rule->check, h);
	h = hash_settings(&rule->type, h);
	for (size_t i = 0; i < rule->ntranslate; i++)
		sum += hash_settings(&rule->translate[i].values, hash_text(rule->translate[i].column, 0));
	h = hash_number(sum, h);
	h = hash_number(rule->events, h);
	h = hash_number(rule->on_delete, h);
	h = hash_number(rule->on_truncate, h);
	h = hash_number(rule->mode, h);
	return hash_number(rule->seed_mode, h);
}
