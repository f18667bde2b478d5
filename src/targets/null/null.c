/* SPDX-License-Identifier: PostgreSQL */
/*
 * null.c - the null back-end: takes every row and keeps none.
 *
 * What a source and its rules cost, without a target's cost; or a trial of rules whose refused rows are wanted, but no
 * view.  Its position is in walmill's own state, so a restart goes on where it was.
 */
#include "walmill/targets.h"

static enum wm_status
open_it(struct wm_target *t, struct wm_error *err)
{
	(void)t;
	(void)err;
	return WM_OK;
}

/* Nothing can be missing from a view that shows nothing. */
static enum wm_status
ensure(struct wm_target *t, const struct wm_view *view, enum wm_found *ret_found, struct wm_error *err)
{
	(void)t;
	(void)view;
	(void)err;
	*ret_found = WM_FOUND_ALL;
	return WM_OK;
}

static enum wm_status
write_it(struct wm_target *t, const struct wm_batch *batch, size_t *ret_bad, struct wm_error *err)
{
	(void)t;
	(void)batch;
	(void)ret_bad;
	(void)err;
	return WM_OK;
}

/* Each write has its price: that of a position in walmill's state. */
static wm_usec
pace(struct wm_target *t, enum wm_priority priority)
{
	(void)t;
	(void)priority;
	return 20 * WM_MSEC;
}

static void
close_it(struct wm_target *t)
{
	(void)t;
}

static const struct wm_option options[] = { { .name = NULL } };
static const char *const schemes[] = { NULL };

const struct wm_target_ops wm_target_null_ops = {
	.type = "null",
	.schemes = schemes,
	.size = sizeof(struct wm_target),
	.caps = WM_TARGET_PARTIAL | WM_TARGET_PARALLEL,
	.options = options,
	.open = open_it,
	.ensure = ensure,
	.write = write_it,
	.close = close_it,
	.pace = pace,
};
