/* SPDX-License-Identifier: PostgreSQL */
/*
 * callback.c - jobs whose end Zoho tells, by a call of an address that cannot be guessed.
 *
 * What comes there is a hint to ask for the job now, and nothing else: anybody may have sent it, it comes once, and it
 * may not come at all.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "walmill/log.h"
#include "walmill/strutil.h"
#include "zoho.h"

#define SECRET 32			/* hexadecimal digits */
#define NUMBER 16
#define REFUSED_FOR (3600 * WM_SEC)
#define LISTEN_STEP (100 * WM_MSEC)

struct wm_zoho_callback {
	uint64_t		 number;	/* behind the secret: which job it is about */
	bool			 came;		/* it has been taken; no other is */
	bool			 said;		/* and nobody has looked yet */
	struct wm_zoho_callback	*next;
};

static struct {
	pthread_mutex_t		 lock;
	char			 secret[SECRET + 1];	/* of this process; "": not made yet */
	uint64_t		 last;
	struct wm_zoho_callback	*all;
} calls = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* False: there is no randomness to be had. */
static bool
make_secret(void)
{
	uint64_t bits[2];

	if (calls.secret[0] != '\0')
		return true;
	if (getrandom(bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return false;
	(void)snprintf(calls.secret, sizeof(calls.secret), "%016llx%016llx", (unsigned long long)bits[0],
	    (unsigned long long)bits[1]);
	wm_secret_register(calls.secret);
	return true;
}

struct wm_zoho_callback *
wm_zoho_callback_open(const struct wm_zoho *z)
{
	struct wm_zoho_callback *c;

	if (z->callback_url == NULL || !wm_zoho_callback_works(z) || (c = calloc(1, sizeof(*c))) == NULL)
		return NULL;
	pthread_mutex_lock(&calls.lock);
	if (make_secret()) {
		c->number = ++calls.last;
		c->next = calls.all;
		calls.all = c;
	} else {
		free(c);
		c = NULL;
	}
	pthread_mutex_unlock(&calls.lock);
	return c;
}

void
wm_zoho_callback_close(struct wm_zoho_callback *c)
{
	if (c == NULL)
		return;
	pthread_mutex_lock(&calls.lock);
	for (struct wm_zoho_callback **link = &calls.all; *link != NULL; link = &(*link)->next)
		if (*link == c) {
			*link = c->next;
			break;
		}
	pthread_mutex_unlock(&calls.lock);
	free(c);
}

char *
wm_zoho_callback_config(const struct wm_zoho *z, const struct wm_zoho_callback *c, const char *config)
{
	size_t n = strlen(z->callback_url);
	WM_AUTO(wm_freep) char *address = NULL;
	cJSON *o = cJSON_Parse(config);
	char *text;

	while (n > 0 && z->callback_url[n - 1] == '/')
		n--;
	address = wm_asprintf("%.*s/v1/callback/%s%016llx", (int)n, z->callback_url, calls.secret,
	    (unsigned long long)c->number);
	if (address != NULL)
		cJSON_AddStringToObject(o, "callbackUrl", address);
	text = cJSON_PrintUnformatted(o);
	cJSON_Delete(o);
	return text;
}

/* In a time that does not tell how much of it is right. */
static bool
is_secret(const char *token)
{
	unsigned char differs = 0;

	for (size_t i = 0; i < SECRET; i++)
		differs |= (unsigned char)(token[i] ^ calls.secret[i]);
	return differs == 0;
}

bool
wm_zoho_callback_take(const char *token)
{
	char number[NUMBER + 1];
	bool taken = false;

	if (strlen(token) != SECRET + NUMBER)
		return false;
	pthread_mutex_lock(&calls.lock);
	for (struct wm_zoho_callback *c = calls.all; c != NULL && is_secret(token); c = c->next) {
		(void)snprintf(number, sizeof(number), "%016llx", (unsigned long long)c->number);
		if (c->came || strcmp(number, token + SECRET) != 0)
			continue;
		taken = c->came = c->said = true;
		break;
	}
	pthread_mutex_unlock(&calls.lock);
	return taken;
}

static bool
look(struct wm_zoho_callback *c)
{
	bool said;

	pthread_mutex_lock(&calls.lock);
	said = c->said;
	c->said = false;
	pthread_mutex_unlock(&calls.lock);
	return said;
}

enum wm_status
wm_zoho_callback_rest(struct wm_zoho *z, struct wm_zoho_callback *c, wm_usec usec, bool *ret_said,
    struct wm_error *err)
{
	wm_usec until = wm_clock_mono() + usec, left = usec;
	enum wm_status st = WM_OK;

	*ret_said = false;
	if (c == NULL)
		return wm_zoho_rest(z, usec, err);
	for (; st == WM_OK && left > 0 && !(*ret_said = look(c)); left = until - wm_clock_mono())
		st = wm_zoho_rest(z, left < LISTEN_STEP ? left : LISTEN_STEP, err);
	return st;
}

/* ---- addresses that Zoho does not take ---- */

bool
wm_zoho_callback_works(const struct wm_zoho *z)
{
	bool works;

	pthread_mutex_lock(&z->account->lock);
	works = wm_clock_mono() >= z->account->no_callback;
	pthread_mutex_unlock(&z->account->lock);
	return works;
}

bool
wm_zoho_callback_refused(struct wm_zoho *z, const struct wm_zoho_answer *a)
{
	if (a->code != 8125 && a->code != 8126 && a->code != 8127)
		return false;
	pthread_mutex_lock(&z->account->lock);
	z->account->no_callback = wm_clock_mono() + REFUSED_FOR;
	pthread_mutex_unlock(&z->account->lock);
	wm_log(WM_LOG_WARNING, "callback_refused",
	    "target \"%s\": Zoho does not call \"callback_url\": %s (zoho:%d); jobs are asked for as without it for an "
	    "hour; see that the address reaches \"listen\" of \"admin\" from the internet",
	    z->base.name, a->message, a->code);
	return true;
}
