noinst_LIBRARIES += libwm-rules.a
libwm_rules_a_SOURCES = \
	%D%/append.c \
	%D%/apply.c \
	%D%/columns.c \
	%D%/expr.c \
	%D%/expr.h \
	%D%/expr_value.c \
	%D%/expr_value.h \
	%D%/field.c \
	%D%/field.h \
	%D%/find.c \
	%D%/fingerprint.c \
	%D%/key.c \
	%D%/layout.c \
	%D%/mask.c \
	%D%/mask.h \
	%D%/match.c \
	%D%/plan.c \
	%D%/plan.h \
	%D%/rule.c \
	%D%/rule.h \
	%D%/upsert.c \
	%D%/work.c \
	%D%/work.h
