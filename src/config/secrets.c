/* SPDX-License-Identifier: PostgreSQL */
/*
 * secrets.c - filling in ${env:NAME}, ${file:PATH} and ${credential:NAME}.
 *
 * What was filled in is registered with wm_secret_register and is not looked at again, so a
 * secret may hold "${".  No message repeats a text that is not clearly a reference: it may be
 * a password with a "${" in it.
 */
#include "secrets.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "file.h"
#include "walmill/log.h"
#include "walmill/strutil.h"

#define SECRET_MAX (64 * 1024)	/* bytes of one secret file */

struct reference {
	const char		*name;		/* what follows the colon */
	const char		*folder;
	const struct wm_mark	*mark;
	struct wm_diags		*diags;
};

struct provider {
	const char	*word;
	/* Adds the value to out; false when it has reported an error.  NULL: known, not built in. */
	bool		(*fill)(const struct reference *ref, struct wm_buf *out);
};

bool
wm_secrets_is_placeholder(const char *text)
{
	static const char *const words[] = { "changeme", "change-me", "change_me", "secret", "password" };

	for (size_t i = 0; i < WM_ARRAY_SIZE(words); i++) {
		if (strcasecmp(text, words[i]) == 0)
			return true;
	}
	return false;
}

void
wm_secrets_register(const char *secret)
{
	if (!wm_secrets_is_placeholder(secret))
		wm_secret_register(secret);
}

static void
register_and_add(const char *value, struct wm_buf *out)
{
	wm_secrets_register(value);
	wm_buf_adds(out, value);
}

static bool
fill_env(const struct reference *ref, struct wm_buf *out)
{
	const char *value = getenv(ref->name);

	if (value == NULL) {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "environment variable \"%s\" is not set: "
		    "set it (under systemd with EnvironmentFile= in the unit), or use ${file:PATH}", ref->name);
		return false;
	}
	register_and_add(value, out);
	return true;
}

/* Editors and `echo` end a file with a newline that is no part of the secret. */
static void
strip_newline(char *value, size_t n)
{
	if (n > 0 && value[n - 1] == '\n')
		value[--n] = '\0';
	if (n > 0 && value[n - 1] == '\r')
		value[--n] = '\0';
}

static bool
fill_from_file(const struct reference *ref, const char *what, const char *path, const char *fix,
    struct stat *ret_stat, struct wm_buf *out)
{
	WM_AUTO(wm_freep) char *value = NULL;
	struct wm_error err;
	size_t n;

	if (wm_file_read(path, SECRET_MAX, &value, &n, ret_stat, &err) != WM_OK) {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "%s \"%s\" cannot be read: %s: %s", what, path,
		    err.text, fix);
		return false;
	}
	if (strlen(value) != n) {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "%s \"%s\" holds a NUL byte: store it as text", what,
		    path);
		explicit_bzero(value, n);
		return false;
	}
	strip_newline(value, n);
	register_and_add(value, out);
	explicit_bzero(value, n);
	return true;
}

static bool
fill_file(const struct reference *ref, struct wm_buf *out)
{
	WM_AUTO(wm_freep) char *path = wm_file_join(ref->folder, ref->name);
	struct stat st;

	if (path == NULL) {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "out of memory for a path");
		return false;
	}
	if (!fill_from_file(ref, "secret file", path, "make it a file that walmill's user can read", &st, out))
		return false;
	if (st.st_mode & S_IROTH)
		wm_diags_at(ref->diags, WM_WARNING, ref->mark,
		    "secret file \"%s\" can be read by every user: run chmod o-r on it", path);
	return true;
}

static bool
fill_credential(const struct reference *ref, struct wm_buf *out)
{
	WM_AUTO(wm_freep) char *path = NULL, *fix = NULL;
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (strchr(ref->name, '/') != NULL || ref->name[0] == '.') {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark,
		    "credential \"%s\" must be a name, not a path: use ${file:PATH} for a file", ref->name);
		return false;
	}
	if (folder == NULL || folder[0] == '\0') {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "credential \"%s\" has no folder to come from, "
		    "as $CREDENTIALS_DIRECTORY is not set: put LoadCredential=%s:/PATH into the systemd unit, or "
		    "set CREDENTIALS_DIRECTORY to the folder that holds it", ref->name, ref->name);
		return false;
	}
	path = wm_file_join(folder, ref->name);
	fix = wm_asprintf("put LoadCredential=%s:/PATH into the systemd unit", ref->name);
	if (path == NULL || fix == NULL) {
		wm_diags_at(ref->diags, WM_ERROR, ref->mark, "out of memory for a path");
		return false;
	}
	return fill_from_file(ref, "credential", path, fix, NULL, out);
}

static const struct provider providers[] = {
	{ "env", fill_env },
	{ "file", fill_file },
	{ "credential", fill_credential },
	{ "vault", NULL },
	{ "aws-secret", NULL },
};

static const struct provider *
find_provider(const char *inner)
{
	for (size_t i = 0; i < WM_ARRAY_SIZE(providers); i++) {
		size_t n = strlen(providers[i].word);

		if (strncmp(inner, providers[i].word, n) == 0 && inner[n] == ':')
			return &providers[i];
	}
	return NULL;
}

/* inner: what stands between the braces. */
static bool
fill_one(const char *inner, struct reference ref, struct wm_buf *out)
{
	const struct provider *provider = find_provider(inner);

	if (provider == NULL) {
		wm_diags_at(ref.diags, WM_ERROR, ref.mark, "unknown reference after \"${\": write ${env:NAME}, "
		    "${file:PATH} or ${credential:NAME}, or $${ for a literal \"${\"");
		return false;
	}
	if (provider->fill == NULL) {
		wm_diags_at(ref.diags, WM_ERROR, ref.mark, "${%s:...} is not built into this walmill: use "
		    "${env:NAME}, ${file:PATH} or ${credential:NAME}", provider->word);
		return false;
	}
	ref.name = inner + strlen(provider->word) + 1;
	if (ref.name[0] == '\0') {
		wm_diags_at(ref.diags, WM_ERROR, ref.mark, "${%s:} names nothing", provider->word);
		return false;
	}
	return provider->fill(&ref, out);
}

enum wm_secrets_outcome
wm_secrets_fill(const char *text, const char *folder, const struct wm_mark *mark, struct wm_diags *diags,
    struct wm_buf *out)
{
	const struct reference ref = { .folder = folder, .mark = mark, .diags = diags };
	enum wm_secrets_outcome outcome = WM_SECRETS_NONE;
	const char *dollar;

	while ((dollar = strchr(text, '$')) != NULL) {
		WM_AUTO(wm_freep) char *inner = NULL;
		bool escape = strncmp(dollar, "$${", 3) == 0;
		const char *end;

		wm_buf_add(out, text, (size_t)(dollar - text));
		if (escape || dollar[1] != '{') {
			wm_buf_adds(out, escape ? "${" : "$");
			text = dollar + (escape ? 3 : 1);
			continue;
		}
		end = strchr(dollar, '}');
		if (end == NULL) {
			wm_diags_at(diags, WM_ERROR, mark,
			    "\"${\" without \"}\": write $${ for a literal \"${\"");
			return WM_SECRETS_BAD;
		}
		inner = strndup(dollar + 2, (size_t)(end - dollar - 2));
		if (inner == NULL || !fill_one(inner, ref, out))
			outcome = WM_SECRETS_BAD;
		else if (outcome == WM_SECRETS_NONE)
			outcome = WM_SECRETS_FILLED;
		text = end + 1;
	}
	wm_buf_adds(out, text);
	return outcome;
}
