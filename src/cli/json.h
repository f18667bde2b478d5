/* SPDX-License-Identifier: PostgreSQL */
/*
 * json.h - finding values in JSON text that is known to be well-formed, without changing them.
 *
 * cJSON keeps a number as a double; a key of 64 bits would come out another.
 */
#ifndef WM_CLI_JSON_H
#define WM_CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* The value of name in an object: where it begins, and its length. */
bool wm_json_member(const char *object, const char *name, const char **ret, size_t *ret_len);
/* The first item of an array; NULL when it is empty. */
const char *wm_json_first(const char *array);
/* The item behind this one, or NULL. */
const char *wm_json_next(const char *item);

#endif
