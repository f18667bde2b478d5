noinst_LIBRARIES += libwm-target-null.a
libwm_target_null_a_SOURCES = \
	%D%/null.c
