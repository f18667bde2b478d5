# SPDX-License-Identifier: PostgreSQL
# The tests themselves are found by their names; this is for what stands beside them.
EXTRA_DIST += %D%/versions

# make check-versions VERSIONS='14 18' for some of them only.
check-versions: walmill$(EXEEXT)
	@WALMILL=$(abs_builddir)/walmill WM_BUILDDIR=$(abs_builddir) $(srcdir)/%D%/versions $(VERSIONS)

.PHONY: check-versions
