noinst_LIBRARIES += libwm-admin.a
libwm_admin_a_SOURCES = \
	%D%/answer.c \
	%D%/client.c \
	%D%/letter_routes.c \
	%D%/letters.c \
	%D%/listen.c \
	%D%/listen.h \
	%D%/metrics.c \
	%D%/receipts.c \
	%D%/routes.c \
	%D%/row_route.c \
	%D%/routes.h \
	%D%/server.c \
	%D%/status.c
