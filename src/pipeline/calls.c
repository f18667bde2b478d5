/* SPDX-License-Identifier: PostgreSQL */
/*
 * calls.c - the memory of calls, which those who make them free, also where there is no pipeline behind them.
 */
#include <stdlib.h>

#include "walmill/pipeline.h"

void
wm_retry_free(struct wm_retry *retry)
{
	for (size_t i = 0; i < retry->nfailures; i++)
		free(retry->failures[i].why);
	free(retry->failures);
	retry->failures = NULL;
	retry->nfailures = 0;
}

void
wm_row_call_free(struct wm_row_call *call)
{
	for (size_t i = 0; i < call->n; i++) {
		free(call->names[i]);
		free(call->values[i]);
	}
	free(call->names);
	free(call->values);
	free(call->table);
	free(call->written);
	*call = (struct wm_row_call){ 0 };
}
