noinst_LIBRARIES += libwm-seed.a
libwm_seed_a_SOURCES = \
	%D%/copy.c \
	%D%/readback.c \
	%D%/snapshot.c
