/* session.c - messages, exit codes, and the connection to the broker. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/text.h"
#include "common/tokens.h"
#include "tools/jqctl/jqctl.h"

enum { MESSAGE_SIZE = 1024, FIRST_CONNECT_MS = 1000, TRY_MAX_MS = 300000 };

/* ---- messages ---------------------------------------------------------------------------------------------------------- */

/* One write, so that lines of several processes do not mix. */
static void print_message(const char *message) {
    struct jq_buf line;
    struct jq_str text = jq_str_of(message);
    char place[JQ_ESCAPE_SIZE_MAX];
    jq_buf_init(&line, MESSAGE_SIZE * JQ_ESCAPE_SIZE_MAX);
    jq_buf_append_text(&line, JQ_STR("jqctl: "));
    while (text.size > 0) {
        const bool plain = *text.data == '"' || *text.data == '\\';
        const char c = *text.data;
        const size_t size = jq_text_escape(&text, place);
        jq_buf_append(&line, plain ? &c : place, plain ? 1 : size);
    }
    jq_buf_append_u8(&line, '\n');
    (void)fflush(stdout);
    (void)fwrite(line.data, 1, line.size, stderr);
    jq_buf_fini(&line);
}

int jqctl_fail(int exit_code, const char *format, ...) {
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_message(message);
    return exit_code;
}

void jqctl_note(const char *format, ...) {
    char message[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    print_message(message);
}

int jqctl_exit_of(enum jq_err err) {
    switch (err) {
    case JQ_OK: return JQCTL_DONE;
    case JQ_ERR_INVALID:
    case JQ_ERR_TOO_BIG:
    case JQ_ERR_CORRUPT:
    case JQ_ERR_FOREIGN:
    case JQ_ERR_VERSION: return EX_DATAERR;
    case JQ_ERR_NOT_FOUND:
    case JQ_ERR_EXISTS:
    case JQ_ERR_CONFLICT: return JQCTL_FAILED;
    case JQ_ERR_UNAVAILABLE:
    case JQ_ERR_CLOSED: return EX_UNAVAILABLE;
    case JQ_ERR_BUSY:
    case JQ_ERR_LOCKED:
    case JQ_ERR_TIMEOUT: return EX_TEMPFAIL;
    case JQ_ERR_DENIED: return EX_NOPERM;
    case JQ_ERR_IO:
    case JQ_ERR_NO_SPACE: return EX_IOERR;
    case JQ_ERR_PROTOCOL: return EX_PROTOCOL;
    case JQ_ERR_NOMEM: return EX_OSERR;
    default: return EX_SOFTWARE;
    }
}

int jqctl_fail_err(const char *what, const struct jq_error *error) {
    return jqctl_fail(jqctl_exit_of(error->code), "%s%s%s", what ? what : "", what ? ": " : "", error->message);
}

void jqctl_write(struct jq_bytes bytes) {
    if (bytes.size > 0)
        (void)fwrite(bytes.data, 1, bytes.size, stdout);
}

int jqctl_finish(int exit_code) {
    if (fflush(stdout) == 0 && !ferror(stdout))
        return exit_code;
    return errno == EPIPE ? exit_code : jqctl_fail(EX_IOERR, "stdout: %s", strerror(errno));
}

/* ---- the broker -------------------------------------------------------------------------------------------------------- */

int64_t jqctl_call_ms(const struct jqctl *ctl) {
    const int64_t ms = ctl->timeout_ms > 0 ? ctl->timeout_ms : JQCTL_TIMEOUT_DEFAULT_MS;
    return ms < TRY_MAX_MS ? ms : TRY_MAX_MS;
}

/* Called by libjq before it waits and tries again: told once for each reason. */
static void on_retry(void *ctx, enum jq_err err, int64_t wait_ms) {
    struct jqctl *ctl = ctx;
    const uint64_t bit = UINT64_C(1) << (unsigned)err;
    if (ctl->told & bit)
        return;
    ctl->told |= bit;
    if (err == JQ_ERR_BUSY)
        jqctl_note("the broker is busy; trying again in %.1f s, and so on within its time", (double)wait_ms / 1000.0);
    else
        jqctl_note("no answer yet (%s); trying again", jq_err_text(err));
}

static const char *server_url(const struct jqctl *ctl) {
    const char *given = jqctl_value(&ctl->args, "server");
    const char *environment = getenv("JQ_SERVER");
    if (given)
        return given;
    if (environment && environment[0])
        return environment;
    return ctl->settings.url[0] ? ctl->settings.url : JQ_SERVER_DEFAULT;
}

/* --token-file > $JQ_TOKEN (read by libjq itself) > [server] token_file. */
static int read_token(const struct jqctl *ctl, char token[JQ_TOKEN_SENT_SIZE_MAX + 1]) {
    const char *file = jqctl_value(&ctl->args, "token-file");
    const char *environment = getenv("JQ_TOKEN");
    struct jq_error error;
    token[0] = '\0';
    if (!file && !(environment && environment[0]) && ctl->settings.token_file[0])
        file = ctl->settings.token_file;
    if (!file || jq_token_read(file, token, &error) == JQ_OK)
        return JQCTL_DONE;
    return jqctl_fail(error.code == JQ_ERR_NOT_FOUND ? EX_NOINPUT : jqctl_exit_of(error.code), "token: %s",
                      error.message);
}

/* A broker that is not there is waited for; people are told after a second. */
static void tell_if_absent(struct jqctl *ctl) {
    struct jq_error error;
    if (jq_conn_wait(ctl->client->conn, FIRST_CONNECT_MS, &error) == JQ_OK)
        return;
    ctl->told |= UINT64_C(1) << JQ_ERR_UNAVAILABLE;
    if (jqctl_call_ms(ctl) > FIRST_CONNECT_MS)
        jqctl_note("%s; trying again", error.message);
}

int jqctl_connect(struct jqctl *ctl) {
    char token[JQ_TOKEN_SENT_SIZE_MAX + 1];
    struct jq_error error;
    if (ctl->client)
        return JQCTL_DONE;
    const int token_code = read_token(ctl, token);
    if (token_code != JQCTL_DONE)
        return token_code;
    const struct jq_connect_config config = {.server = server_url(ctl),
                                             .token = token[0] ? token : NULL,
                                             .name = "jqctl",
                                             .timeout_ms = jqctl_call_ms(ctl),
                                             .on_retry = on_retry,
                                             .ctx = ctl};
    const enum jq_err err = jq_connect(&config, &ctl->client, &error);
    if (err == JQ_ERR_ADDRESS)
        return jqctl_fail(jqctl_given(&ctl->args, "server") ? EX_USAGE : EX_CONFIG, "%s", error.message);
    if (err != JQ_OK)
        return jqctl_fail_err(NULL, &error);
    tell_if_absent(ctl);
    return JQCTL_DONE;
}

bool jqctl_outlasts(struct jqctl *ctl, enum jq_err err) {
    if (err != JQ_ERR_UNAVAILABLE && err != JQ_ERR_TIMEOUT)
        return false;
    if (!ctl->told_away)
        jqctl_note("the broker does not answer; waiting until it does");
    ctl->told_away = true;
    return true;
}

int64_t jqctl_deadline_ms(const struct jqctl *ctl) {
    return ctl->timeout_ms < 0 ? INT64_MAX : jq_flight_now_ms() + ctl->timeout_ms;
}

int jqctl_call_within(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
                      void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t timeout_ms) {
    struct jq_error error;
    const int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    if (jq_client_call(ctl->client, flight, op, field_count, fill, ctx, timeout_ms, &error) != JQ_OK)
        return jqctl_fail_err(what, &error);
    return JQCTL_DONE;
}

int jqctl_call(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
               void (*fill)(struct jq_pack *pack, void *ctx), void *ctx) {
    return jqctl_call_within(ctl, flight, what, op, field_count, fill, ctx, jqctl_call_ms(ctl));
}

int jqctl_follow(struct jqctl *ctl, struct jq_flight *flight, const char *what, const char *op, size_t field_count,
                 void (*fill)(struct jq_pack *pack, void *ctx), void *ctx, int64_t wait_ms, bool *answered) {
    const int64_t deadline_ms =
        *answered && ctl->timeout_ms < 0 ? INT64_MAX : jq_flight_now_ms() + wait_ms + jqctl_call_ms(ctl);
    struct jq_error error;
    const int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    if (jq_client_poll(ctl->client, flight, op, field_count, fill, ctx, wait_ms + JQ_POLL_EXTRA_MS, deadline_ms,
                       &error) != JQ_OK)
        return jqctl_fail_err(what, &error);
    *answered = true;
    return JQCTL_DONE;
}

/* ---- options and operands ---------------------------------------------------------------------------------------------- */

int jqctl_option_duration(const struct jqctl *ctl, const char *name, int64_t *ret_ms) {
    const char *text = jqctl_value(&ctl->args, name);
    struct jq_error error;
    if (!text || jq_text_parse_duration(jq_str_of(text), ret_ms, &error) == JQ_OK)
        return JQCTL_DONE;
    return jqctl_fail(EX_USAGE, "--%s: %s", name, error.message);
}

int jqctl_option_uint(const struct jqctl *ctl, const char *name, uint64_t max, uint64_t *ret_value) {
    const char *text = jqctl_value(&ctl->args, name);
    struct jq_error error;
    if (!text || jq_text_parse_uint(jq_str_of(text), max, ret_value, &error) == JQ_OK)
        return JQCTL_DONE;
    return jqctl_fail(EX_USAGE, "--%s: %s", name, error.message);
}

int jqctl_operand_ids(const struct jqctl *ctl, jq_task_id **ret_ids, size_t *ret_count) {
    const size_t count = ctl->args.operand_count;
    jq_task_id *ids = calloc(count + 1, sizeof(*ids));
    if (!ids)
        return jqctl_fail(EX_OSERR, "out of memory");
    for (size_t i = 0; i < count; i++) {
        struct jq_error error;
        if (jq_text_parse_task_id(jq_str_of(ctl->args.operands[i]), &ids[i], &error) != JQ_OK) {
            free(ids);
            return jqctl_fail(EX_USAGE, "task id: %s", error.message);
        }
    }
    *ret_ids = ids;
    *ret_count = count;
    return JQCTL_DONE;
}

/* ---- people and files -------------------------------------------------------------------------------------------------- */

bool jqctl_confirm(const char *question) {
    char answer[16];
    (void)fprintf(stderr, "%s [y/N] ", question);
    (void)fflush(stderr);
    return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int jqctl_read_file(const char *path, size_t size_max, struct jq_buf *buf) {
    const bool is_stdin = strcmp(path, "-") == 0;
    jq_buf_init(buf, size_max);
    FILE *file = is_stdin ? stdin : fopen(path, "rbe");
    if (!file)
        return jqctl_fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    for (;;) {
        char chunk[16384];
        const size_t size = fread(chunk, 1, sizeof(chunk), file);
        jq_buf_append(buf, chunk, size);
        if (size < sizeof(chunk) || buf->failed)
            break;
    }
    const bool bad = ferror(file) != 0;
    const int sys_errno = errno;
    if (!is_stdin)
        (void)fclose(file);
    if (bad)
        return jqctl_fail(EX_NOINPUT, "%s: %s", is_stdin ? "stdin" : path, strerror(sys_errno));
    if (buf->failed)
        return jqctl_fail(EX_DATAERR, "%s: larger than %zu bytes", is_stdin ? "stdin" : path, size_max);
    return JQCTL_DONE;
}
