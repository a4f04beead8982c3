#include "worker/exec/argv.h"

#include "common/buf.h"
#include "worker/exec/child.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* {input.NAME} and {output.NAME}: how much of `text` was taken; 0 if it is neither. */
static size_t expand_file(const char *text, const struct jq_argv_values *values, struct jq_buf *word) {
    static const char input[] = "{input.", output[] = "{output.";
    const bool is_input = strncmp(text, input, sizeof(input) - 1) == 0;
    if (!is_input && strncmp(text, output, sizeof(output) - 1) != 0) {
        return 0;
    }
    const size_t start = is_input ? sizeof(input) - 1 : sizeof(output) - 1;
    const size_t size = strcspn(text + start, "{}");
    const struct jq_str name = {text + start, size};
    if (text[start + size] != '}' || !jq_name_valid(name) || name.data[0] == '.') {
        return 0;
    }
    const char *outputs =
        values->output_dir != NULL && values->output_dir[0] != '\0' ? values->output_dir : values->work_dir;
    if (is_input) {
        jq_buf_append_format(word, "%s/" JQ_EXEC_INPUTS_DIR "/%.*s", values->work_dir, JQ_STR_ARG(name));
    } else {
        jq_buf_append_format(word, "%s/%.*s", outputs, JQ_STR_ARG(name));
    }
    return start + size + 1;
}

/* Writes what stands for the name at `text` ("{input}...") and returns how much of `text` it took; 0 if it is no name of ours. */
static size_t expand_name(const char *text, const struct jq_argv_values *values, struct jq_argv *argv,
                          struct jq_buf *word) {
    static const char *const names[] = {"{input}", "{output}", "{work_dir}", "{task}", "{attempt}"};
    size_t which = 0;
    while (which < 5 && strncmp(text, names[which], strlen(names[which])) != 0) {
        which++;
    }
    switch (which) {
    case 0:
        argv->uses_input = true;
        jq_buf_append_format(word, "%s/input", values->work_dir);
        break;
    case 1:
        argv->uses_output = true;
        jq_buf_append_format(word, "%s/output", values->work_dir);
        break;
    case 2: jq_buf_append_text(word, jq_str_of(values->work_dir)); break;
    case 3: jq_buf_append_text(word, jq_str_of(values->task)); break;
    case 4: jq_buf_append_text(word, jq_str_of(values->attempt)); break;
    default: return expand_file(text, values, word);
    }
    return strlen(names[which]);
}

static void expand_names(const char *text, const struct jq_argv_values *values, struct jq_argv *argv,
                         struct jq_buf *word) {
    while (*text != '\0') {
        const size_t taken = *text == '{' ? expand_name(text, values, argv, word) : 0;
        if (taken == 0) {
            jq_buf_append_u8(word, (uint8_t)*text);
        }
        text += taken > 0 ? taken : 1;
    }
}

/* Parameters are put in last: what comes from outside is never searched for names. */
static enum jq_err expand_params(const struct jq_argv_values *values, size_t size_max, struct jq_buf *word,
                                 struct jq_error *reterr) {
    if (word->failed || values->param == NULL || !jq_template_has_params(jq_buf_str(word))) {
        return JQ_OK;
    }
    struct jq_buf whole;
    jq_buf_init(&whole, size_max);
    const enum jq_err err = jq_template_expand(jq_buf_str(word), values->param, values->param_ctx, &whole, reterr);
    jq_buf_fini(word);
    *word = whole;
    return err;
}

static enum jq_err expand_word(const char *text, const struct jq_argv_values *values, struct jq_argv *argv,
                               size_t *size_left, char **ret_word, struct jq_error *reterr) {
    struct jq_buf word;
    jq_buf_init(&word, *size_left);
    expand_names(text, values, argv, &word);
    enum jq_err err = expand_params(values, *size_left, &word, reterr);
    jq_buf_append_u8(&word, 0);
    if (err == JQ_OK && word.failed) {
        err = jq_fail(reterr, JQ_ERR_TOO_BIG, "command: longer than %d bytes", JQ_EXEC_ARGV_SIZE_MAX);
    }
    if (err != JQ_OK) {
        jq_buf_fini(&word);
        return err;
    }
    *size_left -= word.size;
    *ret_word = (char *)word.data;
    return JQ_OK;
}

static bool is_program(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

static char *search_path(const char *search, const char *name) {
    const size_t name_size = strlen(name);
    while (*search != '\0') {
        const size_t dir_size = strcspn(search, ":");
        char *path = malloc(dir_size + name_size + 2);
        if (path == NULL) {
            return NULL;
        }
        (void)snprintf(path, dir_size + name_size + 2, "%.*s/%s", (int)dir_size, search, name);
        if (dir_size > 0 && is_program(path)) {
            return path;
        }
        free(path);
        search += dir_size + (search[dir_size] == ':' ? 1 : 0);
    }
    return NULL;
}

char *jq_argv_find(const char *name, const char *search) {
    if (strchr(name, '/') != NULL) {
        return is_program(name) ? strdup(name) : NULL;
    }
    return search != NULL ? search_path(search, name) : NULL;
}

static enum jq_err find_program(struct jq_argv *argv, const char *search, struct jq_error *reterr) {
    const char *name = argv->words[0];
    if (strchr(name, '/') != NULL) {
        argv->path = strdup(name);
        return argv->path != NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "command");
    }
    argv->path = search_path(search, name);
    return argv->path != NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_NOT_FOUND, "command not found in PATH: %.128s", name);
}

static enum jq_err expand_all(struct jq_argv *argv, const char *const *words, const struct jq_argv_values *values,
                              struct jq_error *reterr) {
    size_t count = 0;
    while (words[count] != NULL) {
        count++;
    }
    if (count == 0 || count > JQ_EXEC_ARGV_COUNT_MAX) {
        return jq_fail(reterr, JQ_ERR_INVALID, "command: %zu words, must be 1 to %d", count, JQ_EXEC_ARGV_COUNT_MAX);
    }
    argv->words = calloc(count + 1, sizeof(argv->words[0]));
    enum jq_err err = argv->words != NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_NOMEM, "command");
    size_t size_left = JQ_EXEC_ARGV_SIZE_MAX;
    for (size_t i = 0; err == JQ_OK && i < count; i++) {
        err = expand_word(words[i], values, argv, &size_left, &argv->words[i], reterr);
    }
    return err;
}

enum jq_err jq_argv_expand(const char *const *argv, const struct jq_argv_values *values, const char *search,
                           struct jq_argv *ret_argv, struct jq_error *reterr) {
    struct jq_argv made = {.words = NULL};
    enum jq_err err = expand_all(&made, argv, values, reterr);
    if (err == JQ_OK) {
        err = find_program(&made, search, reterr);
    }
    if (err != JQ_OK) {
        jq_argv_fini(&made);
        return err;
    }
    *ret_argv = made;
    return JQ_OK;
}

void jq_argv_fini(struct jq_argv *argv) {
    for (size_t i = 0; argv->words != NULL && argv->words[i] != NULL; i++) {
        free(argv->words[i]);
    }
    free(argv->words);
    free(argv->path);
    *argv = (struct jq_argv){.words = NULL};
}
