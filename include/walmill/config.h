/* SPDX-License-Identifier: PostgreSQL */
/*
 * config.h - walmill.yaml and the rules files: YAML with marks, secrets, option tables.
 *
 * Everything is read into a document that keeps every value's file:line:column; mistakes are
 * collected in struct wm_diags, all of them.  A loaded configuration is immutable and may be
 * shared by threads.
 */
#ifndef WM_CONFIG_H
#define WM_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "walmill/diag.h"
#include "walmill/error.h"
#include "walmill/log.h"
#include "walmill/option.h"

/* ---- documents ---- */

enum wm_node_kind { WM_NODE_SCALAR, WM_NODE_MAP, WM_NODE_LIST };

struct wm_node;

struct wm_pair {
	char		*key;
	struct wm_mark	 mark;		/* of the key */
	struct wm_node	*value;
};

struct wm_node {
	enum wm_node_kind	 kind;
	struct wm_mark		 mark;
	char			*text;	/* scalar: with ${...} filled in */
	bool			 plain;	/* scalar without quotes: null, true, 5 mean themselves */
	bool			 secret;	/* scalar: a ${...} was filled in; never print text */
	bool			 bad;		/* scalar: a ${...} could not be filled in, which diags says */
	char			*written;	/* scalar with a ${...}: as it stands in the file; else NULL */
	const char		*folder;	/* absolute; relative paths of this file start here */
	size_t			 n;	/* pairs or items */
	struct wm_pair		*pairs;	/* map, in the file's order; keys are unique */
	struct wm_node		**items;	/* list */
};

struct wm_document;	/* owns its nodes and file name */

/*
 * Reads one YAML file (or bytes, name used in marks).  Anchors and aliases work, duplicate keys
 * and several documents in one file are errors.  Secrets (${env:}, ${file:}, ${credential:}) in
 * scalars are filled in and registered; relative ${file:} paths start at the file's folder.  NULL after an error, which is in diags.
 */
struct wm_document *wm_document_load(const char *path, struct wm_diags *diags);
struct wm_document *wm_document_parse(const char *name, const char *bytes, size_t n, struct wm_diags *diags);
const struct wm_node *wm_document_root(const struct wm_document *doc);	/* NULL: empty file */
void wm_document_free(struct wm_document *doc);

/* The value of key in a map, or NULL. */
const struct wm_node *wm_node_get(const struct wm_node *map, const char *key);
/* The file that a scalar is to come from, when it is ${file:PATH} and nothing else; malloc'd.  NULL: it is not, or memory is out. */
char *wm_node_file(const struct wm_node *node);
bool wm_node_is_null(const struct wm_node *node);	/* plain null, ~ or empty */

/*
 * Fills the struct at base from map by the option table: types, bounds, required options,
 * defaults.  Unknown keys are errors that name the nearest valid key; keys in also (NULL-terminated,
 * or NULL) are known and left to the caller.  map may be NULL (defaults only).  The struct is
 * zeroed or has been filled by the same table before.
 */
void wm_options_fill(const struct wm_option *options, const struct wm_node *map, const char *what,
    const char *const *also, void *base, struct wm_diags *diags);
/* Sets one option from text, as a URI does. */
enum wm_status wm_option_set(const struct wm_option *option, const char *text, void *base, struct wm_error *err)
    WM_MUST_CHECK;
/* Frees the strings that wm_options_fill put into base. */
void wm_options_free(const struct wm_option *options, void *base);
/* Copies every option from one struct to another (strings are duplicated). */
enum wm_status wm_options_copy(const struct wm_option *options, const void *from, void *to, struct wm_error *err)
    WM_MUST_CHECK;

/* Adds "unknown key ..." for each key of map that is not in known (NULL-terminated). */
void wm_node_known_keys(const struct wm_node *map, const char *what, const char *const *known,
    struct wm_diags *diags);

/* ---- walmill.yaml ---- */

enum wm_failover { WM_FAILOVER_AUTO, WM_FAILOVER_ON, WM_FAILOVER_OFF };
enum wm_slot_lost { WM_SLOT_LOST_STOP, WM_SLOT_LOST_SEED };

#define WM_LANES_MAX 16

/*
 * One lane of a source: with `slots: N` there are N of these, one behind another, each with a slot and a publication of
 * its own.  The first has the names that a source without lanes has.
 */
struct wm_source_config {
	char		*name;		/* "shop"; of further lanes "shop/2", which is no name that a user may give */
	char		*base;		/* as rules name the source: "shop" */
	int		 lane;		/* from 1 on */
	int64_t		 lanes;		/* of the source */
	struct wm_mark	 mark;
	char		*uri;		/* libpq URI or keyword string; holds a secret perhaps */
	char		*slot;		/* default walmill_<source>; of further lanes with _2, _3, ... behind it */
	char		*publication;	/* the same */
	bool		 manage;	/* make and alter slot and publication */
	int64_t		 discover;	/* microseconds between looks for new tables */
	int64_t		 silence;	/* longest time without a byte from the server, microseconds */
	bool		 streaming;	/* take large transactions before they have committed */
	bool		 two_phase;	/* take transactions when they are prepared */
	int		 failover;	/* enum wm_failover: whether the slot is kept in step at standbys */
	int		 on_slot_lost;	/* enum wm_slot_lost */
	bool		 canary;	/* false: `canary: off` */
	int64_t		 canary_every, canary_within;	/* microseconds */
};

struct wm_target_config {		/* the section as it is: its type's back-end reads it */
	char			*name;
	struct wm_mark		 mark;
	const struct wm_node	*node;	/* always a map */
};

struct wm_alert_config {
	char	*to;			/* mailto:ADDRESS[,ADDRESS...], https://... or http://... */
	char	*smtp, *user, *password, *from;	/* mail */
	char	*header, *secret_key;	/* HTTP: header NULL: Authorization, as a bearer token */
	char	*ca_file;		/* NULL: the system's certificates */
	int64_t	 repeat, interval, retrying;	/* microseconds; repeat 0: never */
};

/* For wm_options_copy and wm_options_free. */
extern const struct wm_option wm_alert_options[];

struct wm_config {
	char			*path;		/* of walmill.yaml; NULL when made from flags */
	char			*folder;	/* relative paths start here */
	size_t			 nsources;	/* lanes of all */
	struct wm_source_config	*sources;
	size_t			 ntargets;
	struct wm_target_config	*targets;
	size_t			 nrules;
	const struct wm_node	**rules;	/* each rule's map, over all rules files in name order */
	char			*state;		/* folder */
	bool			 journal;	/* false: `journal: off` */
	uint64_t		 journal_max_bytes;
	bool			 receipts;	/* false: `receipts: off` */
	int64_t			 receipts_keep;	/* microseconds */
	uint64_t		 receipts_max_bytes;
	uint64_t		 memory;	/* bytes of the ring between receiver and workers, a source */
	char			*admin_socket;	/* path; NULL: `socket: off` */
	char			*admin_listen;	/* host:port; NULL: no TCP */
	char			*admin_secret_key;
	char			*mask_key;	/* key of sha256 masks; NULL: one is made in the state folder */
	size_t			 nalerts;
	struct wm_alert_config	*alerts;
	enum wm_log_format	 log_format;
	enum wm_log_level	 log_level;
	/* private */
	size_t			 ndocuments;
	struct wm_document	**documents;
};

/*
 * Loads walmill.yaml and the rules it points to (a folder's *.yaml in name order, a file, or
 * the list in place).  NULL when diags->errors is not 0.
 */
struct wm_config *wm_config_load(const char *path, struct wm_diags *diags);
/*
 * For `walmill check`: returns what could be read in spite of errors, so that the rules can be
 * checked too; good for wm_ruleset_load only.  NULL when there is nothing to go on with.
 */
struct wm_config *wm_config_load_partial(const char *path, struct wm_diags *diags);
/* The same from text, for `sync`, which writes itself a configuration. folder: where relative paths start. */
struct wm_config *wm_config_parse(const char *name, const char *text, const char *folder, struct wm_diags *diags);
void wm_config_free(struct wm_config *config);

/* The name of a source's lane, from 1 on; caller frees, NULL: out of memory. */
char *wm_lane_name(const char *base, unsigned lane);
/* Which of so many lanes takes a table (a partitioned one as a whole), from 1 on, unless a rule keeps it in the first. */
unsigned wm_lane_of(const char *schema, const char *table, unsigned lanes);

/* Where the files of a lane's journal are; caller frees, NULL: out of memory. */
char *wm_config_journal_folder(const struct wm_config *config, const char *source);
/* The same of its prepared transactions. */
char *wm_config_prepared_folder(const struct wm_config *config, const char *source);

#endif
