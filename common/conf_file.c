#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/conf_internal.h"

/* inih asks us for lines and gives us names and values back, piece by piece. What it does not tell, or cuts, is kept
 * here: the number of the line, titles above its own limit of 49 bytes, and lines above its limit, which it would break
 * in two. */
struct reader {
    const struct jq_conf_schema *schema;
    void *settings;
    struct jq_conf_source source;
    uint64_t seen[JQ_CONF_SECTIONS_MAX];
    struct jq_str rest; /* what was not read yet */
    bool continues;     /* the line before ended in a backslash */
    bool continued;     /* the present line goes on with the value of the one before */
    char title[JQ_CONF_LINE_SIZE_MAX + 1];
    /* The value that may still grow. */
    bool pending;
    int pending_line;
    char key[JQ_CONF_LINE_SIZE_MAX + 1];
    char value[JQ_CONF_VALUE_SIZE_MAX];
    size_t value_size;
    enum jq_err err;
    struct jq_error *reterr;
};

static bool take_line(struct jq_str *rest, struct jq_str *ret_line) {
    if (rest->size == 0)
        return false;
    const char *const newline = memchr(rest->data, '\n', rest->size);
    const size_t size = newline != NULL ? (size_t)(newline - rest->data) : rest->size;
    const size_t taken = newline != NULL ? size + 1 : size;
    *ret_line = (struct jq_str){rest->data, size};
    if (size > 0 && rest->data[size - 1] == '\r')
        ret_line->size--;
    *rest = (struct jq_str){rest->data + taken, rest->size - taken};
    return true;
}

static void fail_line(struct reader *reader, enum jq_err code, const char *reason) {
    char where[160];
    jq_conf_where(&reader->source, where, sizeof where);
    reader->err = jq_fail(reader->reterr, code, "%s: %s", where, reason);
}

/* Assigns the value that cannot grow any more. */
static void flush(struct reader *reader) {
    if (!reader->pending || reader->err != JQ_OK)
        return;
    struct jq_conf_source source = reader->source;
    source.line = reader->pending_line;
    reader->pending = false;
    reader->err =
        jq_conf_assign(reader->schema, reader->settings, &source, jq_str_of(reader->title), jq_str_of(reader->key),
                       (struct jq_str){reader->value, reader->value_size}, reader->reterr);
}

/* "[queue cad.step]", perhaps followed by a comment. */
static void read_title(struct reader *reader, struct jq_str line) {
    const char *const close = memchr(line.data, ']', line.size);
    if (close == NULL) {
        fail_line(reader, JQ_ERR_INVALID, "']' is missing");
        return;
    }
    const struct jq_str title = jq_conf_trim((struct jq_str){line.data + 1, (size_t)(close - line.data - 1)});
    const struct jq_str after = jq_conf_trim((struct jq_str){close + 1, line.size - (size_t)(close + 1 - line.data)});
    if (after.size > 0 && after.data[0] != ';' && after.data[0] != '#') {
        fail_line(reader, JQ_ERR_INVALID, "only a comment may follow ']'");
        return;
    }
    memcpy(reader->title, title.data, title.size);
    reader->title[title.size] = '\0';
    reader->err = jq_conf_begin_section(reader->schema, reader->settings, &reader->source, jq_str_of(reader->title),
                                        reader->reterr);
}

/* Looks at a line before inih does. */
static void preview(struct reader *reader, struct jq_str *line) {
    const char first = line->size > 0 ? line->data[0] : '\0';
    if (memchr(line->data, '\0', line->size) != NULL)
        fail_line(reader, JQ_ERR_INVALID, "a NUL byte");
    else if (line->size > JQ_CONF_LINE_SIZE_MAX)
        fail_line(reader, JQ_ERR_TOO_BIG,
                  "a line of more than 190 bytes: end it with a backslash and go on in the next one");
    else if (first == '[' && !reader->continued)
        read_title(reader, *line);
    const bool comment = first == '#' || first == ';';
    reader->continues = !comment && line->size > 0 && line->data[line->size - 1] == '\\';
    line->size -= reader->continues;
}

/* An ini_reader, as fgets() is one. A leading blank tells inih that the value of the line before goes on. */
static char *give_line(char *out, int size, void *context) {
    struct reader *const reader = context;
    struct jq_str line;
    if (reader->err != JQ_OK || !take_line(&reader->rest, &line)) {
        flush(reader);
        return NULL;
    }
    reader->continued = reader->continues;
    if (!reader->continued)
        flush(reader);
    reader->source.line++;
    line = jq_conf_trim(line);
    if (reader->err == JQ_OK)
        preview(reader, &line);
    if (reader->err != JQ_OK)
        return NULL;
    JQ_CHECK(line.size + 3 <= (size_t)size);
    const int length = snprintf(out, (size_t)size, "%s%.*s\n", reader->continued ? " " : "", JQ_STR_ARG(line));
    JQ_CHECK(length > 0 && length < size);
    return out;
}

static bool append_value(struct reader *reader, const char *text) {
    const size_t size = strlen(text);
    if (size + 1 > sizeof reader->value - reader->value_size) {
        fail_line(reader, JQ_ERR_TOO_BIG, "the value is too long");
        return false;
    }
    if (reader->value_size > 0)
        reader->value[reader->value_size++] = ' ';
    memcpy(reader->value + reader->value_size, text, size);
    reader->value_size += size;
    return true;
}

/* An ini_handler: 0 is failure. */
static int take_value(void *context, const char *section, const char *name, const char *value) {
    struct reader *const reader = context;
    (void)section;
    if (reader->err != JQ_OK)
        return 0;
    if (reader->continued && reader->pending)
        return append_value(reader, value);
    reader->pending = true;
    reader->pending_line = reader->source.line;
    reader->value_size = 0;
    (void)snprintf(reader->key, sizeof reader->key, "%s", name);
    return append_value(reader, value);
}

enum jq_err jq_conf_read_text(const struct jq_conf_schema *schema, void *settings, const char *origin,
                              struct jq_str text, struct jq_error *reterr) {
    struct reader *const reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "%s: out of memory", origin);
    if (text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0)
        text = (struct jq_str){text.data + 3, text.size - 3};
    reader->schema = schema;
    reader->settings = settings;
    reader->source = (struct jq_conf_source){.origin = origin, .seen = reader->seen};
    reader->rest = text;
    reader->reterr = reterr;
    const int bad_line = ini_parse_stream(give_line, reader, take_value, reader);
    enum jq_err err = reader->err;
    /* inih goes on after a line that it does not understand: an error of ours below it came second. */
    if (bad_line > 0 && (err == JQ_OK || bad_line < reader->source.line))
        err = jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: neither a [section] nor a key = value nor a comment", origin,
                      bad_line);
    free(reader);
    return err;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static enum jq_err read_all(int fd, const char *path, char *data, size_t size_max, size_t *ret_size,
                            struct jq_error *reterr) {
    size_t size = 0;
    for (;;) {
        const ssize_t count = read(fd, data + size, size_max - size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return jq_fail_errno(reterr, errno, "%s", path);
        if (count == 0)
            break;
        size += (size_t)count;
        if (size == size_max)
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: more than %d bytes", path, JQ_CONF_FILE_SIZE_MAX);
    }
    *ret_size = size;
    return JQ_OK;
}

enum jq_err jq_conf_read_file(const struct jq_conf_schema *schema, void *settings, const char *path,
                              struct jq_error *reterr) {
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "%s", path);
    char *const data = malloc(JQ_CONF_FILE_SIZE_MAX + 1);
    size_t size = 0;
    enum jq_err err = data == NULL ? jq_fail(reterr, JQ_ERR_NOMEM, "%s: out of memory", path)
                                   : read_all(fd, path, data, JQ_CONF_FILE_SIZE_MAX + 1, &size, reterr);
    (void)close(fd);
    if (err == JQ_OK)
        err = jq_conf_read_text(schema, settings, path, (struct jq_str){data, size}, reterr);
    free(data);
    return err;
}

static int is_conf_file(const struct dirent *entry) {
    const size_t size = strlen(entry->d_name);
    return entry->d_name[0] != '.' && size > 5 && strcmp(entry->d_name + size - 5, ".conf") == 0;
}

static int compare_names(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static enum jq_err read_entry(const struct jq_conf_schema *schema, void *settings, const char *folder, const char *name,
                              struct jq_error *reterr) {
    char path[4096];
    const int size = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (size < 0 || (size_t)size >= sizeof path)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: the path is too long", folder);
    return jq_conf_read_file(schema, settings, path, reterr);
}

enum jq_err jq_conf_read_dir(const struct jq_conf_schema *schema, void *settings, const char *path,
                             struct jq_error *reterr) {
    struct dirent **entries = NULL;
    const int count = scandir(path, &entries, is_conf_file, compare_names);
    if (count < 0)
        return jq_fail_errno(reterr, errno, "%s", path);
    enum jq_err err = JQ_OK;
    if (count > JQ_CONF_FILES_MAX)
        err = jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: more than %d files", path, JQ_CONF_FILES_MAX);
    for (int i = 0; i < count; i++) {
        if (err == JQ_OK)
            err = read_entry(schema, settings, path, entries[i]->d_name, reterr);
        free(entries[i]);
    }
    free(entries);
    return err;
}
