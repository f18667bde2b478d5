/* SPDX-License-Identifier: PostgreSQL */
/*
 * lsn.h - positions in PostgreSQL's write-ahead log.
 */
#ifndef WM_LSN_H
#define WM_LSN_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint64_t wm_lsn;		/* 0 is "no position" (PostgreSQL's InvalidXLogRecPtr) */

#define WM_LSN_STRLEN 18		/* "FFFFFFFF/FFFFFFFF" and the NUL */
#define WM_LSN_FMT "%" PRIX32 "/%" PRIX32
#define WM_LSN_ARGS(lsn) (uint32_t)((lsn) >> 32), (uint32_t)(lsn)

/* Writes "16/B374D848" to buf (WM_LSN_STRLEN bytes) and returns buf. */
char *wm_lsn_format(wm_lsn lsn, char *buf);
/* False when text is not exactly "hex/hex", at most eight digits a side. */
bool wm_lsn_parse(const char *text, wm_lsn *ret_lsn) __attribute__((warn_unused_result));

#endif
