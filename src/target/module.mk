noinst_LIBRARIES += libwm-target.a
libwm_target_a_SOURCES = \
	%D%/target.c
