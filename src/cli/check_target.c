/* SPDX-License-Identifier: PostgreSQL */
/*
 * check_target.c - the preflight of a target: reachable, and each view can be written.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"

static void
destroyp(struct wm_target **target)
{
	wm_target_destroy(*target);
}

static void
check_view(struct wm_check *check, struct wm_target *target, const struct wm_view *view)
{
	char subject[160];
	struct wm_error err;

	snprintf(subject, sizeof(subject), "view \"%.63s\" at target \"%.63s\"", view->name, target->name);
	if (target->ops->preflight(target, view, &check->findings, &err) != WM_OK)
		wm_diags_add(&check->findings, WM_ERROR, subject, NULL, "%s", err.text);
}

void
wm_check_target(struct wm_check *check, const struct wm_target *model)
{
	WM_AUTO(destroyp) struct wm_target *target = NULL;
	struct wm_error err;
	char subject[100];

	snprintf(subject, sizeof(subject), "target \"%.80s\"", model->name);
	if (wm_target_clone(model, &target, &err) != WM_OK || target->ops->open(target, &err) != WM_OK) {
		const char *text = err.text;

		if (strncmp(text, subject, strlen(subject)) == 0)
			text += strlen(subject) + strspn(text + strlen(subject), ": ");
		wm_diags_add(&check->findings, WM_ERROR, subject, NULL, "%s", text);
		return;
	}
	wm_diags_add(&check->findings, WM_NOTE, subject, NULL, "reachable (%s)", target->ops->type);
	for (size_t i = 0; target->ops->preflight != NULL && i < check->nplans; i++)
		if (strcmp(wm_plan_rule(check->plans[i])->target, model->name) == 0)
			check_view(check, target, wm_plan_view(check->plans[i]));
}
