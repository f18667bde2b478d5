/* SPDX-License-Identifier: PostgreSQL */
/*
 * doubt.c - counts the turns that go without the quicker way.
 */
#include "walmill/doubt.h"

#define TURNS_MAX 1024

bool
wm_doubt_passes(struct wm_doubt *d)
{
	if (d->left == 0)
		return false;
	d->left--;
	return true;
}

void
wm_doubt_note(struct wm_doubt *d, bool worked)
{
	if (worked)
		d->next = 0;
	else
		d->left = d->next = d->next == 0 ? 1 : d->next < TURNS_MAX ? d->next * 2 : TURNS_MAX;
}
