/* conf.h - configuration from one table of keys: it yields the file, the command line, `--help` and the sample.
 *
 * A file is INI as systemd writes it (read by inih):
 *
 *     # A comment, on a line of its own; `;` opens one too, also after a value and a blank.
 *     [limits]
 *     depth_max = 100000
 *     [queue cad.step]              A section that can be there several times carries a name, [a-z0-9_.-]{1,64}.
 *     weight = 3
 *
 * Lines are at most JQ_CONF_LINE_SIZE_MAX bytes; a line that ends in a backslash goes on in the next one (joined by a
 * blank). Blanks at the start of a line mean nothing. A value is at most JQ_CONF_VALUE_SIZE_MAX bytes.
 *
 * Types of keys, and what holds the value in the settings struct:
 *     STRING    char *               any printable text; never NULL, "" when empty
 *     PATH      char *               an absolute path, or empty
 *     BOOL      bool                 yes no true false on off 1 0
 *     INT       int64_t              decimal
 *     SIZE      int64_t, bytes       64M: k, M, G, T are binary
 *     DURATION  int64_t, ms          500ms 15s 10m 24h 30d
 *     MODE      int64_t              file mode, octal
 *     ENUM      int64_t              index into `choices`
 *     LIST      struct jq_conf_list  words between blanks or commas
 *     WORDS     struct jq_conf_list  words between blanks; 'single' and "double" quotes keep blanks; in double ones
 *                                    \" is a quote and \\ a backslash
 *
 * Ownership: a settings struct is zeroed by the caller, filled by jq_conf_init() with the defaults, and owns what it
 *            points to until jq_conf_fini().
 * Errors:    JQ_ERR_INVALID with "FILE:LINE: [section] key: reason", the first one met; the settings are then good for
 *            jq_conf_fini() only. Unknown sections and keys are errors; what they may have meant is suggested. A
 *            program that meets one exits with EX_CONFIG (78), or EX_USAGE (64) for one of jq_conf_args_parse().
 */
#ifndef JQ_COMMON_CONF_H
#define JQ_COMMON_CONF_H

#include "common/buf.h"
#include "common/err.h"
#include "common/types.h"

enum {
    JQ_CONF_LINE_SIZE_MAX = 190, /* what every build of inih takes in one piece */
    JQ_CONF_VALUE_SIZE_MAX = 8 * 1024,
    JQ_CONF_FILE_SIZE_MAX = 1024 * 1024,
    JQ_CONF_FILES_MAX = 1024, /* in a directory */
    JQ_CONF_WORDS_MAX = 256,  /* in one list */
    JQ_CONF_SECTIONS_MAX = 32,
};

enum jq_conf_type {
    JQ_CONF_STRING,
    JQ_CONF_PATH,
    JQ_CONF_BOOL,
    JQ_CONF_INT,
    JQ_CONF_SIZE,
    JQ_CONF_DURATION,
    JQ_CONF_MODE,
    JQ_CONF_ENUM,
    JQ_CONF_LIST,
    JQ_CONF_WORDS,
};

struct jq_conf_list {
    char **items; /* one block with the texts; a NULL follows the last, as in an argv */
    size_t count;
};

/* All that one section with a name has in common: the first member of the struct that holds it. */
struct jq_conf_item {
    char *name;
    char *origin;  /* "FILE:LINE" of its title, or "--set": for errors found later */
    uint64_t seen; /* a bit for each key that its file has set */
};
struct jq_conf_items {
    void *data; /* an array of the section's own struct */
    size_t count;
};

/* Checks a value beyond its type. The message says the reason alone. */
typedef enum jq_err jq_conf_check(struct jq_str value, struct jq_error *reterr);

struct jq_conf_key {
    const char *name;
    enum jq_conf_type type;
    size_t offset;        /* in the settings struct, or in the item of a section with names */
    const char *standard; /* the default, as text */
    int64_t min;          /* numbers and counts of words; no bounds when both are 0 */
    int64_t max;
    const char *const *choices; /* ENUM: NULL at the end */
    jq_conf_check *check;       /* or NULL. Not called for an empty value. */
    const char *help;           /* one line, a sentence */
};

struct jq_conf_section {
    const char *name;
    const char *help;
    const struct jq_conf_key *keys;
    size_t key_count; /* at most 64 */
    /* Of a section with names, else 0: */
    size_t offset;    /* of the struct jq_conf_items */
    size_t item_size; /* of the struct that begins with a struct jq_conf_item */
    size_t count_max;
    const char *example; /* a name, for the sample */
};

struct jq_conf_schema {
    const char *program; /* "jqbroker": the file is named so */
    const char *help;    /* what the program is, one sentence */
    const struct jq_conf_section *sections;
    size_t section_count; /* at most JQ_CONF_SECTIONS_MAX */
};

/* offsetof() that does not compile unless the member has that type. */
#define JQ_CONF_FIELD(type, member, of)                                                                                \
    (offsetof(type, member) + 0 * sizeof(char[_Generic(((type *)0)->member, of : 1)]))

/* ---- settings ---------------------------------------------------------------------------------------------------- */

/* `settings` is zeroed memory. A default that does not fit its own table is a programming error. */
enum jq_err jq_conf_init(const struct jq_conf_schema *schema, void *settings, struct jq_error *reterr);
void jq_conf_fini(const struct jq_conf_schema *schema, void *settings);

/* `origin` names the text in messages. */
enum jq_err jq_conf_read_text(const struct jq_conf_schema *schema, void *settings, const char *origin,
                              struct jq_str text, struct jq_error *reterr);
enum jq_err jq_conf_read_file(const struct jq_conf_schema *schema, void *settings, const char *path,
                              struct jq_error *reterr);
/* Every file of `path` whose name ends in ".conf" and does not begin with a point, in the order of names (by bytes). */
enum jq_err jq_conf_read_dir(const struct jq_conf_schema *schema, void *settings, const char *path,
                             struct jq_error *reterr);

/* One assignment: "limits.depth_max=5", "queue.cad.step.weight=3" (the name may have points), or with a blank
 * "queue cad.step.weight=3". */
enum jq_err jq_conf_set(const struct jq_conf_schema *schema, void *settings, struct jq_str assignment,
                        struct jq_error *reterr);

/* The item of that name, or NULL. */
void *jq_conf_find_item(const struct jq_conf_items *items, size_t item_size, struct jq_str name);

/* ---- command line ------------------------------------------------------------------------------------------------ */

enum jq_conf_action {
    JQ_CONF_RUN,
    JQ_CONF_HELP,    /* --help: print jq_conf_append_help() */
    JQ_CONF_VERSION, /* --version */
    JQ_CONF_SAMPLE,  /* --sample: print jq_conf_append_sample() */
    JQ_CONF_CHECK,   /* --check: load the settings, say whether they are good */
};

/* -c FILE, --config FILE, --set SECTION.KEY=VALUE (any number), and the actions above. All borrowed from argv. */
struct jq_conf_args {
    enum jq_conf_action action;
    const char *file;        /* NULL without --config */
    const char *const *argv; /* for the --set of jq_conf_load() */
    int argc;
};
enum jq_err jq_conf_args_parse(int argc, const char *const *argv, struct jq_conf_args *ret_args,
                               struct jq_error *reterr);

/* The file that jq_conf_load() reads, or NULL. */
const char *jq_conf_file(const struct jq_conf_args *args, const char *standard_file);

/* Defaults, then the file, then every --set. Without --config `standard_file` is read if it is there. */
enum jq_err jq_conf_load(const struct jq_conf_schema *schema, const struct jq_conf_args *args,
                         const char *standard_file, void *settings, struct jq_error *reterr);

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* The text of --help. */
void jq_conf_append_help(const struct jq_conf_schema *schema, struct jq_buf *buf);
/* The commented configuration file, every key with its default. */
void jq_conf_append_sample(const struct jq_conf_schema *schema, struct jq_buf *buf);

/* The candidate that `text` may be a slip of, or NULL. */
const char *jq_conf_suggest(struct jq_str text, const char *const *candidates, size_t count);

/* ---- values, for those who read some elsewhere ------------------------------------------------------------------- */

/* Splits as LIST and WORDS do. */
enum jq_err jq_conf_list_parse(struct jq_str text, bool quotes, struct jq_conf_list *ret_list, struct jq_error *reterr);
void jq_conf_list_fini(struct jq_conf_list *list);

#endif
