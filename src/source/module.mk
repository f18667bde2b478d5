noinst_LIBRARIES += libwm-source.a
libwm_source_a_SOURCES = \
	%D%/pgoutput.c \
	%D%/playback.c \
	%D%/playback.h \
	%D%/prepared.c \
	%D%/prepared.h \
	%D%/receiver.c \
	%D%/relations.c \
	%D%/relations.h \
	%D%/spool.c \
	%D%/spool.h \
	%D%/start.c \
	%D%/start.h \
	%D%/stream.c \
	%D%/stream.h \
	%D%/waiting.c \
	%D%/waiting.h
