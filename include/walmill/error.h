/* SPDX-License-Identifier: PostgreSQL */
/*
 * error.h - what a failed call tells its caller.
 *
 * The status says what the caller does next, the error says why.  A fallible function
 * returns the status and fills the caller's struct wm_error; the text is one line, names
 * the object, what was tried, what the other side said and what to do, and holds neither
 * a secret nor a row value.  An err argument may be NULL.
 */
#ifndef WM_ERROR_H
#define WM_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#include "walmill/compiler.h"

enum wm_status {
	WM_OK = 0,
	WM_RETRY,	/* the same call may succeed later: back off, keep the position    */
	WM_REJECT,	/* this record cannot be taken as it is: on_error of its rule decides */
	WM_FATAL,	/* stop the part concerned; the process exits with 1               */
	WM_OPERATOR,	/* as WM_FATAL, and a restart will not help: the process exits with 3 */
};

struct wm_error {
	enum wm_status	status;
	char		code[24];	/* SQLSTATE, "sqlite:19", "http:429", ...; "" when none */
	char		text[1000];
	int64_t		retry_after;	/* WM_RETRY: microseconds that the other side asks to be left alone; 0: it said nothing */
};

/* Fills *err and returns status, so that a caller can write "return wm_fail(...)". Saves errno. */
enum wm_status wm_fail(struct wm_error *err, enum wm_status status, const char *fmt, ...) WM_PRINTF(3, 4);
enum wm_status wm_vfail(struct wm_error *err, enum wm_status status, const char *fmt, va_list ap) WM_PRINTF(3, 0);
/* As wm_fail, and sets the other side's code. */
enum wm_status wm_fail_code(struct wm_error *err, enum wm_status status, const char *code, const char *fmt, ...)
    WM_PRINTF(4, 5);
/* Puts "context: " in front of the text, unless it begins with that; returns err->status (WM_FATAL without an err). */
enum wm_status wm_error_prefix(struct wm_error *err, const char *fmt, ...) WM_PRINTF(2, 3);
/* WM_FATAL with the text for a failed allocation of what. */
enum wm_status wm_oom(struct wm_error *err, const char *what);

#endif
