#include <inttypes.h>

#include "common/conf_internal.h"

/* ---- what a key takes -------------------------------------------------------------------------------------------- */

static const char *type_text(enum jq_conf_type type) {
    switch (type) {
    case JQ_CONF_STRING: return "text";
    case JQ_CONF_PATH: return "absolute path";
    case JQ_CONF_BOOL: return "yes or no";
    case JQ_CONF_INT: return "number";
    case JQ_CONF_SIZE: return "size";
    case JQ_CONF_DURATION: return "duration";
    case JQ_CONF_MODE: return "octal mode";
    case JQ_CONF_ENUM: return "one of";
    case JQ_CONF_LIST: return "list";
    default: return "words, quoted where they have blanks";
    }
}

static void append_bounds(const struct jq_conf_key *key, struct jq_buf *buf) {
    char min[JQ_CONF_NUMBER_TEXT_SIZE_MAX];
    char max[JQ_CONF_NUMBER_TEXT_SIZE_MAX];
    if (key->min == 0 && key->max == 0)
        return;
    jq_conf_number_format(key->type, key->min, min);
    jq_conf_number_format(key->type, key->max, max);
    if (key->max == INT64_MAX)
        jq_buf_append_format(buf, ", at least %s", min);
    else
        jq_buf_append_format(buf, ", %s to %s", min, max);
}

/* "duration, 1s to 1h", "one of: fsync, write, memory". */
static void append_type(const struct jq_conf_key *key, struct jq_buf *buf) {
    jq_buf_append_format(buf, "%s", type_text(key->type));
    if (key->type != JQ_CONF_ENUM) {
        append_bounds(key, buf);
        return;
    }
    for (size_t i = 0; key->choices[i] != NULL; i++)
        jq_buf_append_format(buf, "%s%s", i == 0 ? ": " : ", ", key->choices[i]);
}

static void append_title(const struct jq_conf_section *section, const char *name, struct jq_buf *buf) {
    if (section->item_size > 0)
        jq_buf_append_format(buf, "[%s %s]", section->name, name);
    else
        jq_buf_append_format(buf, "[%s]", section->name);
}

static void append_assignment(const struct jq_conf_key *key, struct jq_buf *buf) {
    const bool empty = key->standard[0] == '\0';
    jq_buf_append_format(buf, "%s =%s%s\n", key->name, empty ? "" : " ", key->standard);
}

/* ---- --help ------------------------------------------------------------------------------------------------------ */

static void append_section_help(const struct jq_conf_section *section, struct jq_buf *buf) {
    jq_buf_append_format(buf, "\n");
    append_title(section, "NAME", buf);
    jq_buf_append_format(buf, "  %s\n", section->help);
    for (size_t i = 0; i < section->key_count; i++) {
        jq_buf_append_format(buf, "  ");
        append_assignment(&section->keys[i], buf);
        jq_buf_append_format(buf, "      %s (", section->keys[i].help);
        append_type(&section->keys[i], buf);
        jq_buf_append_format(buf, ")\n");
    }
}

void jq_conf_append_help(const struct jq_conf_schema *schema, struct jq_buf *buf) {
    jq_buf_append_format(buf,
                         "usage: %s [-c FILE] [--set SECTION.KEY=VALUE].. [--check | --sample | --version | --help]\n"
                         "%s\n\n"
                         "  -c, --config FILE          read this file; without it /etc/jqmesh/%s.conf, if it is there\n"
                         "  --set SECTION.KEY=VALUE    overrules the file; a section with a name: SECTION.NAME.KEY\n"
                         "  --check                    reads the configuration, says whether it is good, and stops\n"
                         "  --sample                   prints the commented configuration file\n"
                         "  --version, --help\n\n"
                         "Keys of the configuration, with their defaults:\n",
                         schema->program, schema->help, schema->program);
    for (size_t i = 0; i < schema->section_count; i++)
        append_section_help(&schema->sections[i], buf);
}

/* ---- sample ------------------------------------------------------------------------------------------------------ */

static void append_section_sample(const struct jq_conf_section *section, struct jq_buf *buf) {
    jq_buf_append_format(buf, "\n# %s\n%s", section->help, section->item_size > 0 ? "#" : "");
    append_title(section, section->example, buf);
    jq_buf_append_format(buf, "\n");
    for (size_t i = 0; i < section->key_count; i++) {
        jq_buf_append_format(buf, "\n# %s\n# (", section->keys[i].help);
        append_type(&section->keys[i], buf);
        jq_buf_append_format(buf, ")\n#");
        append_assignment(&section->keys[i], buf);
    }
}

void jq_conf_append_sample(const struct jq_conf_schema *schema, struct jq_buf *buf) {
    jq_buf_append_format(
        buf,
        "# %s.conf - %s\n"
        "#\n"
        "# Every key stands here with its default: take the '#' away to change one. A line that ends in a backslash\n"
        "# goes on in the next one. `%s --check -c FILE` says whether a file is good, `%s --sample` printed this "
        "one.\n",
        schema->program, schema->help, schema->program, schema->program);
    for (size_t i = 0; i < schema->section_count; i++)
        append_section_sample(&schema->sections[i], buf);
}

/* ---- suggestions ------------------------------------------------------------------------------------------------- */

enum { SUGGEST_SIZE_MAX = 64 };

static size_t least(size_t a, size_t b, size_t c) {
    const size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Bytes to insert, drop or change to make one of the other (Levenshtein), in one row. Both within SUGGEST_SIZE_MAX. */
static size_t edit_distance(struct jq_str a, struct jq_str b) {
    size_t row[SUGGEST_SIZE_MAX + 1];
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            const size_t above = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, diagonal + (a.data[i - 1] != b.data[j - 1]));
            diagonal = above;
        }
    }
    return row[b.size];
}

/* A word that was not finished is as near as one with a slip. */
static size_t distance_of(struct jq_str text, struct jq_str candidate) {
    const bool begins =
        text.size > 1 && text.size < candidate.size && memcmp(text.data, candidate.data, text.size) == 0;
    return begins ? 1 : edit_distance(text, candidate);
}

const char *jq_conf_suggest(struct jq_str text, const char *const *candidates, size_t count) {
    const char *best = NULL;
    size_t best_distance = text.size / 3 + 2; /* A third of it may be wrong, and one byte more. */
    if (text.size == 0 || text.size > SUGGEST_SIZE_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        const struct jq_str candidate = jq_str_of(candidates[i]);
        if (candidate.size > SUGGEST_SIZE_MAX)
            continue;
        const size_t distance = distance_of(text, candidate);
        if (distance < best_distance && distance < candidate.size) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}
