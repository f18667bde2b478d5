noinst_LIBRARIES += libwm-http.a
libwm_http_a_SOURCES = \
	%D%/http.c \
	%D%/internal.h \
	%D%/mail.c \
	%D%/transfer.c
