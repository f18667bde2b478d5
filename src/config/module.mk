noinst_LIBRARIES += libwm-config.a
libwm_config_a_SOURCES = \
	%D%/alerts.c \
	%D%/config.c \
	%D%/document.c \
	%D%/document.h \
	%D%/file.c \
	%D%/file.h \
	%D%/lanes.c \
	%D%/options.c \
	%D%/passwords.c \
	%D%/rulefiles.c \
	%D%/rulefiles.h \
	%D%/secrets.c \
	%D%/secrets.h \
	%D%/sections.h \
	%D%/sources.c \
	%D%/syntax.c \
	%D%/syntax.h
