noinst_LIBRARIES += libwm-source.a
libwm_source_a_SOURCES = \
	%D%/pgoutput.c \
	%D%/receiver.c \
	%D%/stream.c \
	%D%/stream.h
