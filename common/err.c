#define _GNU_SOURCE
#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct err_entry {
    const char *name;
    const char *text;
};

static const struct err_entry entries[] = {
#define ERR_ENTRY(code, name, text) [code] = {name, text},
    JQ_ERR_LIST(ERR_ENTRY)
#undef ERR_ENTRY
};

static const struct err_entry *entry_of(enum jq_err code) {
    static const struct err_entry unknown = {"unknown", "unknown error"};
    const size_t index = (size_t)code;
    return index < sizeof(entries) / sizeof(entries[0]) ? &entries[index] : &unknown;
}

const char *jq_err_name(enum jq_err code) {
    return entry_of(code)->name;
}

const char *jq_err_text(enum jq_err code) {
    return entry_of(code)->text;
}

/* The message is one line: what came from outside may hold line ends, and must not forge a second line in a log. */
static void keep_one_line(char *message) {
    for (char *at = message; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
}

static void format_message(struct jq_error *error, const char *format, va_list args) {
    /* The arguments may point into the very message that is written. */
    char message[sizeof(error->message)];
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        message[0] = '\0';
    keep_one_line(message);
    memcpy(error->message, message, sizeof(message));
}

enum jq_err jq_fail(struct jq_error *reterr, enum jq_err code, const char *format, ...) {
    if (!reterr)
        return code;
    va_list args;
    va_start(args, format);
    format_message(reterr, format, args);
    va_end(args);
    reterr->code = code;
    reterr->sys_errno = 0;
    return code;
}

static enum jq_err code_of_errno(int sys_errno) {
    switch (sys_errno) {
    case ENOSPC:
    case EDQUOT: return JQ_ERR_NO_SPACE;
    case ENOMEM: return JQ_ERR_NOMEM;
    case EACCES:
    case EPERM: return JQ_ERR_DENIED;
    case ENOENT: return JQ_ERR_NOT_FOUND;
    default: return JQ_ERR_IO;
    }
}

enum jq_err jq_fail_errno(struct jq_error *reterr, int sys_errno, const char *format, ...) {
    const enum jq_err code = code_of_errno(sys_errno);
    if (!reterr)
        return code;
    va_list args;
    va_start(args, format);
    format_message(reterr, format, args);
    va_end(args);
    const size_t length = strlen(reterr->message);
    const char *reason = strerrordesc_np(sys_errno);
    snprintf(reterr->message + length, sizeof(reterr->message) - length, ": %s", reason ? reason : "unknown reason");
    reterr->code = code;
    reterr->sys_errno = sys_errno;
    return code;
}

_Noreturn void jq_check_failed(const char *expr, const char *file, int line) {
    fprintf(stderr, "%s:%d: check failed: %s\n", file, line, expr);
    abort();
}
