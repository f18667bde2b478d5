/* SPDX-License-Identifier: PostgreSQL */
/*
 * cell.c - one value, as a column of Zoho's takes it.
 *
 * A value is never rounded.  What differs from the source is counted: an empty text, which CSV cannot tell from null;
 * parts of a second, which the pattern of DATE and TIME has no place for; and what Zoho has nothing for, where the
 * configuration says that null may stand for it.
 */
#include "cell.h"

#include <stdio.h>
#include <string.h>

#include "walmill/strutil.h"

#define DAY 86400
#define NUMBER_MAX 120			/* bytes of a number's text that is looked at */

struct job {
	const struct wm_zoho_policy	*policy;
	struct wm_zoho_converted	*counts;
	struct wm_zoho_cell		*cell;
	struct wm_error			*err;
	char				 text[NUMBER_MAX + 1];	/* the value, NUL-terminated, where it is short */
	size_t				 len;
};

static enum wm_status
unfit(const struct job *job, const char *why)
{
	if (job->policy->unfit == WM_ZOHO_UNFIT_REJECT)
		return wm_fail(job->err, WM_REJECT,
		    "%s: Zoho has no value for that; give the column `type: PLAIN`, or set "
		    "\"unfit_values: null\" at the target",
		    why);
	atomic_fetch_add_explicit(&job->counts->unfit, 1, memory_order_relaxed);
	job->cell->data = NULL;
	return WM_OK;
}

static void
set_word(struct wm_zoho_cell *cell, const char *word)
{
	cell->data = word;
	cell->len = strlen(word);
}

static enum wm_status
text_cell(const struct job *job, const struct wm_value *value)
{
	if (value->len > 0) {
		job->cell->data = value->data;
		job->cell->len = value->len;
		return WM_OK;
	}
	atomic_fetch_add_explicit(&job->counts->empty, 1, memory_order_relaxed);
	if (job->policy->empty_text[0] == '\0')
		job->cell->data = NULL;
	else
		set_word(job->cell, job->policy->empty_text);
	return WM_OK;
}

static enum wm_status
bool_cell(const struct job *job, enum wm_type_class class, const struct wm_value *value)
{
	if (class == WM_TYPE_BOOL)
		set_word(job->cell, job->text[0] == 't' ? job->policy->true_word : job->policy->false_word);
	else
		return text_cell(job, value);
	return WM_OK;
}

/* ---- numbers ---- */

static bool
all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

/* The digits of a decimal number, without the point, and where that stands; exponents as floats have them. */
struct decimal {
	bool		negative;
	char		digits[NUMBER_MAX + 1];
	int		n;
	int64_t		point;			/* digits in front of it */
};

static bool
decimal_parse(const char *s, struct decimal *d)
{
	bool seen = false;

	memset(d, 0, sizeof(*d));
	if (*s == '-' || *s == '+')
		d->negative = *s++ == '-';
	for (; *s != '\0' && *s != 'e' && *s != 'E'; s++) {
		if (*s == '.' && !seen)
			seen = true;
		else if (*s >= '0' && *s <= '9') {
			/* Zeros in front say nothing, but move the point. */
			if (d->n > 0 || *s != '0') {
				d->digits[d->n++] = *s;
				d->point += !seen;
			} else
				d->point -= seen;
		} else
			return false;
	}
	if (*s != '\0') {
		int64_t exponent;

		s += s[1] == '+' ? 2 : 1;
		if (!wm_parse_i64(s, &exponent) || exponent > 100000 || exponent < -100000)
			return false;
		d->point += exponent;
	}
	return true;
}

static void
decimal_write(const struct decimal *d, struct wm_zoho_cell *cell)
{
	char *p = cell->space;

	if (d->negative && d->n > 0)
		*p++ = '-';
	if (d->point <= 0)
		*p++ = '0';
	for (int64_t i = 0; i < d->point; i++)
		*p++ = i < d->n ? d->digits[i] : '0';
	if (d->n > d->point) {
		*p++ = '.';
		for (int64_t i = d->point; i < d->n; i++)
			*p++ = i < 0 ? '0' : d->digits[i];
	}
	cell->data = cell->space;
	cell->len = (size_t)(p - cell->space);
}

static enum wm_status
decimal_cell(struct job *job)
{
	struct decimal d;
	int kept;

	if (job->len > NUMBER_MAX)
		return unfit(job, "a number has too many digits");
	if (!decimal_parse(job->text, &d))
		return unfit(job, "a value is no number");
	if (d.n == 0)
		d.point = 0;
	for (kept = d.n; kept > 0 && d.digits[kept - 1] == '0' && kept > d.point; kept--)
		;
	if (d.point > job->policy->digits || kept - d.point > job->policy->digits || kept > job->policy->digits)
		return unfit(job, "a number has more digits than \"decimal_digits\"");
	if (d.n > job->policy->digits || d.n - d.point > job->policy->digits)
		d.n = kept;		/* zeros behind the point */
	decimal_write(&d, job->cell);
	return WM_OK;
}

static enum wm_status
integer_cell(const struct job *job, const struct wm_value *value)
{
	const char *digits = job->text[0] == '-' ? job->text + 1 : job->text;

	if (job->len > 20 || !all_digits(digits, strlen(digits)))
		return unfit(job, "a value is no whole number");
	job->cell->data = value->data;
	job->cell->len = value->len;
	return WM_OK;
}

/* ---- dates ---- */

static int64_t
two_digits(const char *s)
{
	return (s[0] - '0') * 10 + (s[1] - '0');
}

/* "2024-02-29" in front of s, of a year that Zoho has. */
static bool
is_date(const char *s, size_t len)
{
	return len >= 10 && all_digits(s, 4) && s[4] == '-' && all_digits(s + 5, 2) &&
	    s[7] == '-' && all_digits(s + 8, 2) && strncmp(s, "0000", 4) != 0;
}

static bool
is_time(const char *s, size_t len)
{
	return len >= 8 && all_digits(s, 2) && s[2] == ':' && all_digits(s + 3, 2) && s[5] == ':' &&
	    all_digits(s + 6, 2);
}

/* Days from 1970-01-01 in the Gregorian calendar, and back; March is the first month of a year here. */
static int64_t
days_of(int64_t year, int64_t month, int64_t day)
{
	int64_t y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

static void
date_of(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
	int64_t z = days + 719468, era = z / 146097, in_era = z % 146097;
	int64_t y = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
	int64_t in_year = in_era - (365 * y + y / 4 - y / 100), m = (5 * in_year + 2) / 153;

	*day = in_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = y + era * 400 + (*month <= 2);
}

/* Seconds are cut where parts of one stand behind them. */
static void
note_cut(const struct job *job, const char *rest)
{
	if (*rest == '.' && strspn(rest + 1, "0") != strspn(rest + 1, "0123456789"))
		atomic_fetch_add_explicit(&job->counts->cut, 1, memory_order_relaxed);
}

/* In the zone that the target is set to. */
static enum wm_status
moved_cell(const struct job *job)
{
	const char *s = job->text;
	int64_t seconds = days_of(two_digits(s) * 100 + two_digits(s + 2), two_digits(s + 5), two_digits(s + 8)) * DAY +
	    two_digits(s + 11) * 3600 + two_digits(s + 14) * 60 + two_digits(s + 17) + job->policy->zone;
	int64_t days = seconds / DAY - (seconds % DAY < 0), rest = seconds - days * DAY, year, month, day;

	date_of(days, &year, &month, &day);
	if (year < 1 || year > 9999)
		return unfit(job, "a moment is out of range in the target's zone");
	(void)snprintf(job->cell->space, sizeof(job->cell->space), "%04d-%02d-%02d %02d:%02d:%02d",
	    (int)year, (int)month, (int)day, (int)(rest / 3600), (int)(rest / 60 % 60),
	    (int)(rest % 60));
	set_word(job->cell, job->cell->space);
	return WM_OK;
}

static enum wm_status
date_cell(const struct job *job, const struct wm_value *value)
{
	if (!is_date(job->text, job->len) || strstr(job->text, "BC") != NULL)
		return unfit(job, "a date is infinite, before the year 1 or after 9999");
	job->cell->data = value->data;
	job->cell->len = 10;
	return WM_OK;
}

static enum wm_status
timestamp_cell(const struct job *job, enum wm_type_class class, const struct wm_value *value)
{
	if (!is_date(job->text, job->len) || strstr(job->text, "BC") != NULL)
		return unfit(job, "a moment is infinite, before the year 1 or after 9999");
	if (class == WM_TYPE_DATE) {
		(void)snprintf(job->cell->space, sizeof(job->cell->space), "%.10s 00:00:00", job->text);
		set_word(job->cell, job->cell->space);
		return WM_OK;
	}
	if (job->len < 19 || !is_time(job->text + 11, job->len - 11))
		return unfit(job, "a value is no moment");
	note_cut(job, job->text + 19);
	if (class == WM_TYPE_TIMESTAMPTZ && job->policy->zone != 0)
		return moved_cell(job);
	job->cell->data = value->data;
	job->cell->len = 19;
	return WM_OK;
}

static enum wm_status
time_cell(const struct job *job, const struct wm_value *value)
{
	if (!is_time(job->text, job->len) || strncmp(job->text, "24", 2) == 0)
		return unfit(job, "a time of day is out of range");
	note_cut(job, job->text + 8);
	job->cell->data = value->data;
	job->cell->len = 8;
	return WM_OK;
}

/* ---- cells ---- */

static bool
is_moment(enum wm_type_class class)
{
	return class == WM_TYPE_DATE || class == WM_TYPE_TIMESTAMP || class == WM_TYPE_TIMESTAMPTZ;
}

enum wm_status
wm_zoho_cell(const struct wm_zoho_policy *policy, enum wm_zoho_type type, enum wm_type_class class,
    const struct wm_value *value, struct wm_zoho_cell *ret, struct wm_zoho_converted *counts, struct wm_error *err)
{
	struct job job = { .policy = policy, .counts = counts, .cell = ret, .err = err, .len = value->len };
	size_t kept = value->len < NUMBER_MAX ? value->len : NUMBER_MAX;

	ret->data = NULL;
	ret->len = 0;
	if (value->kind == WM_VALUE_NULL)
		return WM_OK;
	if (value->len == 0 || wm_zoho_type_is_text(type))
		return text_cell(&job, value);
	memcpy(job.text, value->data, kept);
	job.text[kept] = '\0';
	if (wm_zoho_type_is_number(type))
		return type >= WM_ZOHO_DECIMAL_NUMBER ? decimal_cell(&job) : integer_cell(&job, value);
	if (type == WM_ZOHO_BOOLEAN)
		return bool_cell(&job, class, value);
	/* A text that the rule gives a date's type is in the form that it is in. */
	if (type == WM_ZOHO_TIME)
		return class == WM_TYPE_TIME ? time_cell(&job, value) : text_cell(&job, value);
	if (!is_moment(class))
		return text_cell(&job, value);
	return type == WM_ZOHO_DATE ? timestamp_cell(&job, class, value) : date_cell(&job, value);
}

bool
wm_zoho_zone_parse(const char *text, int64_t *ret)
{
	int64_t seconds;

	if (strcmp(text, "Z") == 0 || strcmp(text, "UTC") == 0) {
		*ret = 0;
		return true;
	}
	if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') || !all_digits(text + 1, 2) || text[3] != ':' ||
	    !all_digits(text + 4, 2))
		return false;
	seconds = two_digits(text + 1) * 3600 + two_digits(text + 4) * 60;
	if (seconds > 18 * 3600 || two_digits(text + 4) > 59)
		return false;
	*ret = text[0] == '-' ? -seconds : seconds;
	return true;
}
