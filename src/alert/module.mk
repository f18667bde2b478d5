noinst_LIBRARIES += libwm-alert.a
libwm_alert_a_SOURCES = \
	%D%/alerts.c \
	%D%/deliver.c \
	%D%/internal.h \
	%D%/message.c \
	%D%/receiver.c \
	%D%/show.c
