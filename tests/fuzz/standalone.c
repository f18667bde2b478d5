/* SPDX-License-Identifier: PostgreSQL */
/*
 * standalone.c - main() for a fuzz target without libFuzzer: runs it once on every regular file
 * named on the command line or lying in a folder named there, at any depth.  Without arguments
 * it takes the target's own corpus, WM_CORPUS, from the source folder.
 *
 * An error is a crash or a sanitizer's report of the target; a corpus without files is one too,
 * because it would test nothing.
 */
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static int
replay(const char *path, size_t size)
{
	FILE *f = fopen(path, "rb");
	/* Exactly as large as the input, so that reading behind it is noticed. */
	uint8_t *data = malloc(size > 0 ? size : 1);
	int ok = f != NULL && data != NULL && fread(data, 1, size, f) == size;

	if (ok)
		LLVMFuzzerTestOneInput(data, size);
	else
		perror(path);
	free(data);
	if (f != NULL)
		fclose(f);
	return ok;
}

int
main(int argc, char **argv)
{
	char corpus[] = WM_CORPUS;
	char *own[] = { corpus, NULL };
	FTS *fts = fts_open(argc > 1 ? argv + 1 : own, FTS_LOGICAL | FTS_NOCHDIR, NULL);
	unsigned n = 0, failed = 0;
	FTSENT *e;

	if (fts == NULL) {
		perror("fts_open");
		return 1;
	}
	while ((e = fts_read(fts)) != NULL) {
		if (e->fts_info == FTS_F) {
			n++;
			failed += !replay(e->fts_path, (size_t)e->fts_statp->st_size);
		} else if (e->fts_info == FTS_NS || e->fts_info == FTS_ERR || e->fts_info == FTS_DNR) {
			fprintf(stderr, "%s: %s\n", e->fts_path, strerror(e->fts_errno));
			failed++;
		}
	}
	fts_close(fts);
	printf("%u inputs replayed, %u could not be read\n", n, failed);
	return n > 0 && failed == 0 ? 0 : 1;
}
