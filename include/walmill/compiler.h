/* SPDX-License-Identifier: PostgreSQL */
/*
 * compiler.h - the few compiler features that walmill relies on (gcc and clang).
 */
#ifndef WM_COMPILER_H
#define WM_COMPILER_H

/* Releases a local when it goes out of scope; fn takes a pointer to the local. */
#define WM_AUTO(fn) __attribute__((cleanup(fn)))
#define WM_MUST_CHECK __attribute__((warn_unused_result))
#define WM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define WM_UNUSED __attribute__((unused))
#define WM_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
