/* SPDX-License-Identifier: PostgreSQL */
/*
 * init.c - walmill init: a configuration to start from, made from what the source has.
 */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "walmill/strutil.h"

#define TEXT_MAX ((size_t)16 << 20)

/* ---- files ---- */

struct wm_buf *
wm_init_file(struct wm_init_files *files, const char *name, mode_t mode)
{
	struct wm_init_file *list = reallocarray(files->list, files->n + 1, sizeof(*list));

	if (list == NULL) {
		files->failed = true;
		return NULL;
	}
	files->list = list;
	list[files->n] = (struct wm_init_file){ .name = strdup(name), .mode = mode };
	if (list[files->n].name == NULL) {
		files->failed = true;
		return NULL;
	}
	wm_buf_init(&list[files->n].text, TEXT_MAX);
	return &list[files->n++].text;
}

void
wm_init_files_free(struct wm_init_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->list[i].name);
		wm_buf_free(&files->list[i].text);
	}
	free(files->list);
}

static enum wm_status
none_exists(const char *folder, const struct wm_init_files *files, struct wm_error *err)
{
	for (size_t i = 0; i < files->n; i++) {
		WM_AUTO(wm_freep) char *path = wm_asprintf("%s/%s", folder, files->list[i].name);

		if (files->failed || path == NULL || files->list[i].text.failed)
			return wm_oom(err, "the files");
		if (access(path, F_OK) == 0)
			return wm_fail(err, WM_FATAL,
			    "\"%s\" exists and is not overwritten; nothing is written (name another "
			    "folder with --dir)",
			    path);
	}
	return WM_OK;
}

static enum wm_status
write_file(const char *folder, const struct wm_init_file *file, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/%s", folder, file->name);
	int fd = path == NULL ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, file->mode);
	ssize_t n;

	if (path == NULL)
		return wm_oom(err, "a file's name");
	if (fd < 0)
		return wm_fail(err, WM_FATAL, "could not make \"%s\": %s", path, strerror(errno));
	n = write(fd, file->text.data, file->text.len);
	if (close(fd) != 0 || n != (ssize_t)file->text.len)
		return wm_fail(err, WM_FATAL, "could not write \"%s\": %s", path,
		    n >= 0 ? "no room left" : strerror(errno));
	fprintf(stderr, "wrote %s\n", path);
	return WM_OK;
}

static enum wm_status
make_folder(const char *folder, const char *name, mode_t mode, struct wm_error *err)
{
	WM_AUTO(wm_freep) char *path = name == NULL ? strdup(folder) : wm_asprintf("%s/%s", folder, name);

	if (path == NULL)
		return wm_oom(err, "a folder's name");
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return wm_fail(err, WM_FATAL, "could not make folder \"%s\": %s", path, strerror(errno));
	return WM_OK;
}

static enum wm_status
write_files(const char *folder, const struct wm_init_files *files, bool secrets, struct wm_error *err)
{
	enum wm_status status;

	if ((status = make_folder(folder, NULL, 0755, err)) != WM_OK ||
	    (status = make_folder(folder, "rules.d", 0755, err)) != WM_OK ||
	    (secrets && (status = make_folder(folder, "secrets", 0700, err)) != WM_OK))
		return status;
	for (size_t i = 0; i < files->n && status == WM_OK; i++)
		status = write_file(folder, &files->list[i], err);
	return status;
}

/* ---- walmill.yaml ---- */

/* A URI with a password goes into a file that only its owner can read. */
static void
add_uri(struct wm_buf *out, const char *key, const char *name, const char *uri, bool secret, struct wm_buf *secret_text)
{
	wm_buf_addf(out, "    %s: ", key);
	if (!secret) {
		wm_link_quote(out, uri);
	} else {
		wm_buf_addf(out, "${file:secrets/%s_uri}", name);
		wm_buf_addf(secret_text, "%s\n", uri);
	}
	wm_buf_addc(out, '\n');
}

static const char header[] =
    "# What walmill copies where.  \"walmill check\" says whether it is right and ready,\n"
    "# \"walmill run\" runs it.  Any text may hold ${env:NAME}, ${file:PATH} or ${credential:NAME}.\n"
    "\n"
    "sources:\n";

static const char footer[] =
    "\n"
    "rules: rules.d                  # a folder of *.yaml, a file, or the rules themselves\n"
    "\n"
    "state: state                    # positions and refused rows; keep it, it is part of the data\n"
    "\n"
    "# journal: {max_bytes: 10GiB}\n"
    "\n"
    "admin:\n"
    "  socket: state/walmill.sock    # walmill status, wait, errors and others talk to the daemon here\n"
    "  # listen: 127.0.0.1:8042      # HTTP API and metrics; needs a key\n"
    "  # secret_key: ${env:WALMILL_SECRET_KEY}\n"
    "\n"
    "# log: {format: text, level: info}\n";

static void
main_file(const struct wm_link *link, struct wm_buf *out, struct wm_buf *source_secret, struct wm_buf *target_secret)
{
	wm_buf_addf(out, "%s  %s:\n", header, link->source);
	add_uri(out, "uri", link->source, link->source_uri, link->source_password, source_secret);
	wm_buf_addf(out,
	    "    # slot: walmill_%s            # made at the source, and dropped by \"walmill teardown\"\n"
	    "    # publication: walmill_%s     # kept in step with the rules\n"
	    "    # manage: false               # never create or alter slot and publication; use what is there\n"
	    "\ntargets:\n  %s:\n    type: %s\n", link->source, link->source, link->ops->type, link->ops->type);
	add_uri(out, link->ops->uri_option, link->ops->type,
	    link->target_uri + (link->ops->uri_strip ? strcspn(link->target_uri, ":") + 1 : 0), link->target_password,
	    target_secret);
	wm_buf_adds(out, footer);
}

static void
make_files(const struct wm_link *link, const struct wm_tables *tables, struct wm_init_files *files,
    struct wm_diags *diags)
{
	WM_AUTO(wm_buf_free) struct wm_buf source_secret, target_secret;
	WM_AUTO(wm_freep) char *source_name = wm_asprintf("secrets/%s_uri", link->source);
	WM_AUTO(wm_freep) char *target_name = wm_asprintf("secrets/%s_uri", link->ops->type);
	struct wm_buf *out = wm_init_file(files, "walmill.yaml", 0644);

	wm_buf_init(&source_secret, TEXT_MAX);
	wm_buf_init(&target_secret, TEXT_MAX);
	if (out == NULL || source_name == NULL || target_name == NULL) {
		files->failed = true;
		return;
	}
	main_file(link, out, &source_secret, &target_secret);
	if (link->source_password && (out = wm_init_file(files, source_name, 0600)) != NULL)
		wm_buf_adds(out, source_secret.data);
	if (link->target_password && (out = wm_init_file(files, target_name, 0600)) != NULL)
		wm_buf_adds(out, target_secret.data);
	wm_init_rules(link, tables, files, diags);
}

/* ---- the command ---- */

/* What was written must load. */
static int
verify(const char *folder)
{
	WM_AUTO(wm_freep) char *path = wm_asprintf("%s/walmill.yaml", folder);
	WM_AUTO(wm_cli_free_setupp) struct wm_setup *setup = NULL;
	struct wm_diags diags = { 0 };

	if (path == NULL)
		return wm_cli_fail(&(struct wm_error){ .status = WM_FATAL, .text = "out of memory" });
	setup = wm_cli_load_setup(path, &diags);
	wm_cli_print_diags(&diags);
	wm_diags_free(&diags);
	if (setup == NULL)
		return WM_EXIT_USAGE;
	fprintf(stderr,
	    "Next: look at %s and %s/rules.d, then \"walmill check -c %s\" and \"walmill run -c %s\".\n",
	    path, folder, path, path);
	return WM_EXIT_OK;
}

static enum wm_status
read_tables(const struct wm_link *link, struct wm_tables *ret, struct wm_error *err)
{
	WM_AUTO(wm_pg_closep) struct wm_pg *c = NULL;
	enum wm_status status = wm_pg_connect(link->source_uri, WM_PG_SQL, "walmill init", &c, err);

	return status == WM_OK ? wm_catalog_tables(c, ret, err) : status;
}

static int
init(const struct wm_link *link, const char *folder)
{
	WM_AUTO(wm_tables_free) struct wm_tables tables = { 0 };
	WM_AUTO(wm_init_files_free) struct wm_init_files files = { 0 };
	struct wm_diags diags = { 0 };
	struct wm_error err;
	bool failed;

	if (read_tables(link, &tables, &err) != WM_OK)
		return wm_cli_fail(&err);
	make_files(link, &tables, &files, &diags);
	wm_cli_print_diags(&diags);
	failed = diags.errors > 0;
	wm_diags_free(&diags);
	if (failed)
		return WM_EXIT_FAILED;
	if (none_exists(folder, &files, &err) != WM_OK ||
	    write_files(folder, &files, link->source_password || link->target_password, &err) != WM_OK)
		return wm_cli_fail(&err);
	return verify(folder);
}

int
wm_cli_init(int argc, char **argv)
{
	struct wm_link_flags given = { .state = "state" };	/* written as it is in the configuration */
	const char *folder = ".";
	const struct wm_flag flags[] = {
		{ "source", 0, WM_FLAG_TEXT, &given.source, "URI", "the database: postgresql://USER@HOST/DATABASE" },
		{ "target", 0, WM_FLAG_TEXT, &given.target, "URI", "sqlite:PATH or postgresql://USER@HOST/DATABASE" },
		{ "dir", 0, WM_FLAG_TEXT, &folder, "DIR", "where the files go (default: here)" },
		WM_FLAG_END,
	};
	const struct wm_usage usage = { "init", "", "Looks at the source's tables and writes walmill.yaml and rules.d/*.yaml "
	    "to start from.\nOverwrites nothing.", 0, 0 };
	WM_AUTO(wm_link_free) struct wm_link link = { 0 };
	struct wm_error err;
	int first, code = wm_args_parse(&usage, flags, argc, argv, &first);

	if (code != -1)
		return code;
	if (given.source == NULL || given.target == NULL)
		return wm_args_mistake("init", "%s is missing", given.source == NULL ? "--source" : "--target");
	if (wm_link_make(&given, &link, &err) != WM_OK)
		return wm_args_mistake("init", "%s", err.text);
	return init(&link, folder);
}
