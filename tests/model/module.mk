# SPDX-License-Identifier: PostgreSQL
EXTRA_DIST += \
	%D%/drama.py \
	%D%/rulebook.py \
	%D%/shrink.py \
	%D%/stage.py \
	%D%/tables.py \
	%D%/test_model.py

# A few fixed seeds among the others; new ones for as long as one likes are a target of their own.
UNIT_TESTS += %D%/test_model.py

# Failures are shown as they come and left in model-found; SOAK_SEED begins with that seed.
SOAK_SECONDS = 600
SOAK_SEED =
soak: walmill$(EXEEXT)
	@WALMILL=$(abs_builddir)/walmill WM_BUILDDIR=$(abs_builddir) WM_MODEL_SECONDS=$(SOAK_SECONDS) \
		WM_MODEL_SEEDS=$(SOAK_SEED) WM_MODEL_SHRINK=$${WM_MODEL_SHRINK-120} \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider $(srcdir)/%D%/test_model.py

.PHONY: soak
