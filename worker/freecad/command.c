#include "worker/freecad/command.h"

#include "common/buf.h"
#include "worker/exec/argv.h"

#include <limits.h>
#include <stdlib.h>

static char *replace_runner(const char *word, const char *file) {
    struct jq_buf buf;
    jq_buf_init(&buf, 2 * PATH_MAX);
    for (const char *at = word; *at != '\0';) {
        if (strncmp(at, "{runner}", 8) == 0) {
            jq_buf_append_text(&buf, jq_str_of(file));
            at += 8;
        } else {
            jq_buf_append_u8(&buf, (uint8_t)*at++);
        }
    }
    jq_buf_append_u8(&buf, 0);
    if (buf.failed) {
        jq_buf_fini(&buf);
        return NULL;
    }
    return (char *)buf.data;
}

static enum jq_err copy_words(struct jq_freecad_command *command, const char *const *words, const char *file,
                              struct jq_error *reterr) {
    for (size_t i = 0; words[i] != NULL; i++) {
        if (i == JQ_FREECAD_WORDS_MAX) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "freecad command: more than %d words", JQ_FREECAD_WORDS_MAX);
        }
        command->words[i] = replace_runner(words[i], file);
        if (command->words[i] == NULL) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "freecad command: word too long");
        }
    }
    return JQ_OK;
}

enum jq_err jq_freecad_command_make(const char *const *words, const char *file, struct jq_freecad_command *ret_command,
                                    struct jq_error *reterr) {
    if (file[0] != '/' || strpbrk(file, "'\"\\\n") != NULL) {
        return jq_fail(reterr, JQ_ERR_INVALID, "freecad script: not an absolute path, or with quotes: %.160s", file);
    }
    if (words[0] == NULL) {
        return jq_fail(reterr, JQ_ERR_INVALID, "freecad command: empty");
    }
    struct jq_freecad_command command = {.program = NULL};
    const enum jq_err err = copy_words(&command, words, file, reterr);
    if (err != JQ_OK) {
        jq_freecad_command_fini(&command);
        return err;
    }
    command.program = jq_argv_find(command.words[0], getenv("PATH"));
    *ret_command = command;
    return JQ_OK;
}

void jq_freecad_command_fini(struct jq_freecad_command *command) {
    for (size_t i = 0; command->words[i] != NULL; i++) {
        free(command->words[i]);
        command->words[i] = NULL;
    }
    free(command->program);
    command->program = NULL;
}

struct stat jq_freecad_command_stat(const struct jq_freecad_command *command) {
    struct stat status;
    if (command->program == NULL || stat(command->program, &status) != 0) {
        memset(&status, 0, sizeof(status));
    }
    return status;
}

bool jq_freecad_stat_same(const struct stat *left, const struct stat *right) {
    return left->st_ino == right->st_ino && left->st_size == right->st_size &&
           left->st_mtim.tv_sec == right->st_mtim.tv_sec && left->st_mtim.tv_nsec == right->st_mtim.tv_nsec;
}
