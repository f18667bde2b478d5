noinst_LIBRARIES += libwm-admin.a
libwm_admin_a_SOURCES = \
	%D%/client.c \
	%D%/letters.c \
	%D%/listen.c \
	%D%/listen.h \
	%D%/metrics.c \
	%D%/routes.c \
	%D%/routes.h \
	%D%/server.c \
	%D%/status.c
