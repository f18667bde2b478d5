noinst_LIBRARIES += libwm-seed.a
libwm_seed_a_SOURCES = \
	%D%/copy.c \
	%D%/copy.h \
	%D%/pass.c \
	%D%/readback.c \
	%D%/snapshot.c
