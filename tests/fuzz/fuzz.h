/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz.h - what a fuzz target is, and its way to say that something does not hold.
 */
#ifndef WM_FUZZ_H
#define WM_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assert that no build leaves out. */
static inline void
require(bool holds)
{
	if (!holds)
		abort();
}

#endif
