/* SPDX-License-Identifier: PostgreSQL */
/*
 * fixture.h - a session whose messages are written as bytes, in front of a journal in memory.
 */
#ifndef WM_TEST_SOURCE_FIXTURE_H
#define WM_TEST_SOURCE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the four above */
#include <cmocka.h>

#include "source/waiting.h"
#include "walmill/buf.h"

struct fixture {
	struct wm_waiting		*w;
	struct wm_journal		*journal;
	struct wm_journal_reader	*reader;
	struct wm_error			 err;
	struct wm_buf			 got;	/* of each message in the journal its tag, of some also the last byte */
	char				 folder[40], prepared[60];
	const char			*identity;
};

/* For cmocka, with the first session opened. */
int fx_setup(void **state);
int fx_teardown(void **state);
enum wm_status fx_open_session(struct fixture *f, wm_lsn start);
/* Hands over a message, as the receiver does. */
enum wm_status fx_take(struct fixture *f, const char *msg, size_t len);
/* What is in the journal since the last call, with the transaction that has been committed. */
const char *fx_journal(struct fixture *f);

#define TAKE(f, msg) assert_int_equal(fx_take(f, msg, sizeof(msg) - 1), WM_OK)
#define REFUSE(f, msg) assert_int_equal(fx_take(f, msg, sizeof(msg) - 1), WM_FATAL)
#define TEST(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)

#define XID(n) "\0\0\0" n
#define LSN(n) "\0\0\0\0\0\0\0" n
#define TIME LSN("\7")

#endif
