/* SPDX-License-Identifier: PostgreSQL */
/*
 * lanes.c - `slots: N`: the lanes of a source, and which of them takes a table.
 *
 * Each lane has a weight for each table, and the heaviest takes it.  So a lane that is added takes tables away from the
 * others, and moves none between those; one that is taken out leaves its own to them.
 */
#include <stdlib.h>
#include <string.h>

#include "sections.h"
#include "walmill/strutil.h"

char *
wm_lane_name(const char *base, unsigned lane)
{
	return lane == 1 ? strdup(base) : wm_asprintf("%s/%u", base, lane);
}

/* Every bit of h counts in every bit of what is returned (the finalizer of splitmix64). */
static uint64_t
mix(uint64_t h)
{
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

/*
 * Never to be changed: a table that another version gave to another lane would be seeded again.  What is hashed are the
 * server's bytes of "schema.table".
 */
unsigned
wm_lane_of(const char *schema, const char *table, unsigned lanes)
{
	uint64_t h = wm_hash(".", 1, wm_hash(schema, strlen(schema), 0)), best = 0;
	unsigned ret = 1;

	h = wm_hash(table, strlen(table), h);
	for (unsigned lane = 1; lane <= lanes; lane++) {
		uint64_t weight = mix(h + lane * UINT64_C(0x9e3779b97f4a7c15));

		if (lane > 1 && weight <= best)
			continue;
		best = weight;
		ret = lane;
	}
	return ret;
}
