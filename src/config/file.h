/* SPDX-License-Identifier: PostgreSQL */
/*
 * file.h - paths, and whole small files read into memory.
 */
#ifndef WM_CONFIG_FILE_H
#define WM_CONFIG_FILE_H

#include <stddef.h>
#include <sys/stat.h>

#include "walmill/compiler.h"
#include "walmill/error.h"

/*
 * Reads a regular file of at most max bytes; a NUL is added behind them.  The error's text is
 * what is wrong with it, as the end of a sentence that names the file.  ret_stat may be NULL.
 */
enum wm_status wm_file_read(const char *path, size_t max, char **ret, size_t *ret_n, struct stat *ret_stat,
    struct wm_error *err) WM_MUST_CHECK;
/* path, which starts at folder when it is relative.  malloc'd; NULL when memory is out. */
char *wm_file_join(const char *folder, const char *path) WM_MUST_CHECK;
/* The folder part of a path as it was written: "" when it has none.  malloc'd or NULL. */
char *wm_file_folder(const char *path) WM_MUST_CHECK;
/* The same place, as an absolute path.  malloc'd; NULL when memory is out or there is no working folder. */
char *wm_file_absolute(const char *path) WM_MUST_CHECK;

#endif
