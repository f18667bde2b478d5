/* SPDX-License-Identifier: PostgreSQL */
/*
 * notify.c - what systemd is told; nothing when it did not start us.
 */
#include "notify.h"

#ifdef HAVE_SYSTEMD
#include <stdarg.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>

void
wm_notify(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)sd_notify(0, text);
}

wm_usec
wm_notify_watchdog(void)
{
	uint64_t usec = 0;

	return sd_watchdog_enabled(0, &usec) > 0 ? (wm_usec)(usec / 2) : 0;
}
#else
void
wm_notify(const char *fmt, ...)
{
	(void)fmt;
}

wm_usec
wm_notify_watchdog(void)
{
	return 0;
}
#endif
