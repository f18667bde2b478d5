/* SPDX-License-Identifier: PostgreSQL */
/*
 * client.c - calls to a daemon over its control socket.
 */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "listen.h"
#include "walmill/admin.h"
#include "walmill/strutil.h"

#define ANSWER_MAX ((size_t)64 * 1024 * 1024)
#define CONNECT_TIMEOUT_MS 5000L

static void
closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static void
curl_cleanupp(CURL **curl)
{
	curl_easy_cleanup(*curl);
}

static void
slist_freep(struct curl_slist **list)
{
	curl_slist_free_all(*list);
}

static void
deletep(cJSON **json)
{
	cJSON_Delete(*json);
}

void
wm_admin_add_query(struct wm_buf *path, const char *name, const char *value)
{
	char *text = curl_easy_escape(NULL, value, 0);

	if (text == NULL)
		path->failed = true;
	else
		wm_buf_addf(path, "%c%s=%s", strchr(path->data, '?') == NULL ? '?' : '&', name, text);
	curl_free(text);
}

static size_t
on_data(char *data, size_t size, size_t n, void *arg)
{
	struct wm_buf *b = arg;

	wm_buf_add(b, data, size * n);
	return b->failed ? 0 : size * n;
}

static enum wm_status
no_daemon(const char *socket, int e, struct wm_error *err)
{
	if (e == EACCES || e == EPERM)
		return wm_fail(err, WM_FATAL, "may not talk to the walmill daemon at %s: %s; "
		    "run this as its user, or as a member of the group that owns the socket", socket, strerror(e));
	return wm_fail_code(err, WM_FATAL, WM_ADMIN_NO_DAEMON, "no walmill daemon answers at %s; is it running? "
	    "(name another configuration with -c, or its socket with --socket)", socket);
}

static enum wm_status
transport_failed(CURL *curl, CURLcode rc, const char *socket, struct wm_error *err)
{
	long e = 0;

	curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &e);
	if (rc == CURLE_COULDNT_CONNECT)
		return no_daemon(socket, (int)e, err);
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return wm_fail(err, WM_RETRY, "the walmill daemon at %s did not answer in time", socket);
	return wm_fail(err, WM_FATAL, "the call to the walmill daemon at %s failed: %s; see its log", socket,
	    curl_easy_strerror(rc));
}

/* The daemon refused: its message, and a status that tells a time-out from the rest. */
static enum wm_status
refused(long status, const cJSON *answer, struct wm_error *err)
{
	const cJSON *error = cJSON_GetObjectItemCaseSensitive(answer, "error");
	const cJSON *message = cJSON_GetObjectItemCaseSensitive(error, "message");
	char code[24];

	snprintf(code, sizeof(code), "http:%ld", status);
	return wm_fail_code(err, status == 504 ? WM_RETRY : WM_REJECT, code, "%s",
	    cJSON_IsString(message) ? message->valuestring : "the walmill daemon refused, without a reason");
}

static enum wm_status
read_answer(CURL *curl, struct wm_buf *data, const char *socket, char **ret, struct wm_error *err)
{
	WM_AUTO(deletep) cJSON *json = cJSON_ParseWithLength(data->data, data->len);
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200 || status > 299)
		return refused(status, json, err);
	if (json == NULL)
		return wm_fail(err, WM_FATAL, "what answers at %s is no walmill daemon: no JSON in its answer", socket);
	*ret = wm_buf_steal(data);
	return *ret == NULL ? wm_oom(err, "the daemon's answer") : WM_OK;
}

static struct curl_slist *
set_up(CURL *curl, const char *url, const char *name, const char *method, const char *text, wm_usec timeout,
    struct wm_buf *answer)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, name);
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	if (text != NULL)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout / WM_MSEC));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
	return headers;
}

/* name is what fits into a socket address, socket what the user knows. */
static enum wm_status
perform(const char *socket, const char *name, const char *method, const char *path, const char *text, wm_usec timeout,
    char **ret, struct wm_error *err)
{
	WM_AUTO(curl_cleanupp) CURL *curl = curl_easy_init();
	WM_AUTO(wm_freep) char *url = wm_asprintf("http://walmill%s", path);
	WM_AUTO(slist_freep) struct curl_slist *headers = NULL;
	WM_AUTO(wm_buf_free) struct wm_buf answer;
	CURLcode rc;

	wm_buf_init(&answer, ANSWER_MAX);
	if (curl == NULL || url == NULL)
		return wm_oom(err, "a call to the daemon");
	headers = set_up(curl, url, name, method, text, timeout, &answer);
	rc = curl_easy_perform(curl);
	if (rc != CURLE_OK)
		return transport_failed(curl, rc, socket, err);
	return read_answer(curl, &answer, socket, ret, err);
}

enum wm_status
wm_admin_call(const char *socket, const char *method, const char *path, const struct cJSON *body, wm_usec timeout,
    char **ret, struct wm_error *err)
{
	char *text = body == NULL ? NULL : cJSON_PrintUnformatted(body);
	char name[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	WM_AUTO(closep) int folder = -1;
	enum wm_status status;

	if (body != NULL && text == NULL)
		return wm_oom(err, "a call to the daemon");
	status = wm_admin_socket_name(socket, name, sizeof(name), &folder, err);
	if (status == WM_OK)
		status = perform(socket, name, method, path, text, timeout, ret, err);
	else if (access(socket, F_OK) != 0)
		status = no_daemon(socket, errno, err);
	cJSON_free(text);
	return status;
}
