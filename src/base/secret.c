/* SPDX-License-Identifier: PostgreSQL */
/*
 * secret.c - the secrets that may not be written.
 *
 * The list only grows, for the life of the process: a secret that was rotated away may still
 * stand in a message.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "walmill/log.h"

#define SHORTEST 4		/* shorter ones would blank out ordinary words */

static const char cover[] = "***";

static struct {
	pthread_rwlock_t lock;	/* guards everything below */
	char		**list;
	size_t		 *lens;
	size_t		 n, size;
} secrets = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static bool
known(const char *secret)
{
	for (size_t i = 0; i < secrets.n; i++) {
		if (strcmp(secrets.list[i], secret) == 0)
			return true;
	}
	return false;
}

static bool
make_room(void)
{
	size_t size = secrets.size == 0 ? 8 : secrets.size * 2;
	char **list;
	size_t *lens;

	if (secrets.n < secrets.size)
		return true;
	list = reallocarray(secrets.list, size, sizeof(*list));
	if (list == NULL)
		return false;
	secrets.list = list;
	lens = reallocarray(secrets.lens, size, sizeof(*lens));
	if (lens == NULL)
		return false;
	secrets.lens = lens;
	secrets.size = size;
	return true;
}

void
wm_secret_register(const char *secret)
{
	char *copy;

	if (secret == NULL || strlen(secret) < SHORTEST)
		return;
	pthread_rwlock_wrlock(&secrets.lock);
	if (!known(secret) && make_room() && (copy = strdup(secret)) != NULL) {
		secrets.list[secrets.n] = copy;
		secrets.lens[secrets.n++] = strlen(copy);
	}
	pthread_rwlock_unlock(&secrets.lock);
}

/* Where the longest secret that begins at text ends; text when none does. */
static const char *
secret_end(const char *text)
{
	size_t longest = 0;

	for (size_t i = 0; i < secrets.n; i++) {
		if (secrets.lens[i] > longest && secrets.list[i][0] == text[0] &&
		    strncmp(text, secrets.list[i], secrets.lens[i]) == 0)
			longest = secrets.lens[i];
	}
	return text + longest;
}

void
wm_secret_scrub(char *text)
{
	const char *in = text, *end = text, *begin = NULL;
	char *out = text;

	/*
	 * Secrets that overlap are covered as one run.  The run is replaced at its end, when all
	 * of it has been compared; it is always longer than its cover.
	 */
	pthread_rwlock_rdlock(&secrets.lock);
	for (; secrets.n > 0; in++) {
		const char *e = secret_end(in);

		if (e > end)
			end = e;
		if (begin == NULL && in < end) {
			begin = in;
		} else if (begin != NULL && in >= end) {
			memcpy(out, cover, sizeof(cover) - 1);
			out += sizeof(cover) - 1;
			begin = NULL;
		}
		if (begin == NULL && (*out++ = *in) == '\0')
			break;
	}
	pthread_rwlock_unlock(&secrets.lock);
}
