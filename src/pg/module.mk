noinst_LIBRARIES += libwm-pg.a
libwm_pg_a_SOURCES = \
	%D%/catalog.c \
	%D%/connection.c \
	%D%/error.c \
	%D%/identity.c \
	%D%/internal.h \
	%D%/publication.c \
	%D%/publication.h \
	%D%/publication_check.c \
	%D%/query.c \
	%D%/settle.c \
	%D%/slot.c \
	%D%/table.c \
	%D%/types.c \
	%D%/wait.c
