#define _GNU_SOURCE
#include "common/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/entropy.h"
#include "common/need.h"
#include "common/text.h"

static const char prefix[] = "jqt_";
enum { PREFIX_SIZE = 4, SECRET_SIZE = 32, GLOBS_COUNT_MAX = 64 };

static void hash_token(struct jq_str text, uint8_t hash[JQ_TOKEN_HASH_SIZE]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, text.size, (const uint8_t *)text.data);
    sha256_digest(&context, JQ_TOKEN_HASH_SIZE, hash);
}

/* ---- one line ---------------------------------------------------------------------------------------------------- */

/* Where the reader is, for messages. */
struct place {
    const char *origin;
    int line;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static struct jq_str take_word(struct jq_str *rest) {
    size_t start = 0;
    while (start < rest->size && is_blank(rest->data[start]))
        start++;
    size_t end = start;
    while (end < rest->size && !is_blank(rest->data[end]))
        end++;
    const struct jq_str word = {rest->data + start, end - start};
    *rest = (struct jq_str){rest->data + end, rest->size - end};
    return word;
}

static bool is_glob(const char *text) {
    const size_t size = strlen(text);
    if (size == 0 || size > JQ_NAME_SIZE_MAX)
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.-*?") == size;
}

static enum jq_err read_globs(const struct place *place, const char *what, struct jq_str text,
                              struct jq_conf_list *ret_list, struct jq_error *reterr) {
    struct jq_error why = {0};
    struct jq_conf_list list;
    const enum jq_err err = jq_conf_list_parse(text, false, &list, &why);
    if (err != JQ_OK)
        return jq_fail(reterr, err, "%s:%d: %s: %s", place->origin, place->line, what, why.message);
    const char *bad = list.count == 0 || list.count > GLOBS_COUNT_MAX ? "" : NULL;
    for (size_t i = 0; bad == NULL && i < list.count; i++)
        if (!is_glob(list.items[i]))
            bad = list.items[i];
    if (bad != NULL) {
        (void)jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: %s: '%s': 1 to %d globs of a-z 0-9 _ . - * ? between commas",
                      place->origin, place->line, what, bad, GLOBS_COUNT_MAX);
        jq_conf_list_fini(&list);
        return JQ_ERR_INVALID;
    }
    *ret_list = list;
    return JQ_OK;
}

/* One secret with two roles would have the one that is found first. */
static enum jq_err check_first(const struct place *place, const struct jq_tokens *tokens, const uint8_t *hash,
                               struct jq_str name, struct jq_error *reterr) {
    if (!jq_name_valid(name))
        return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: name '%.*s': 1 to %d of a-z 0-9 _ . -", place->origin,
                       place->line, JQ_STR_ARG(name), JQ_NAME_SIZE_MAX);
    for (size_t i = 0; i < tokens->count; i++)
        if (jq_str_equal(jq_str_of(tokens->items[i].name), name))
            return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: name '%.*s' stands twice", place->origin, place->line,
                           JQ_STR_ARG(name));
    for (size_t i = 0; i < tokens->count; i++)
        if (memcmp(tokens->items[i].hash, hash, JQ_TOKEN_HASH_SIZE) == 0)
            return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: the token of '%s' stands twice", place->origin, place->line,
                           tokens->items[i].name);
    return JQ_OK;
}

static enum jq_err read_token(const struct place *place, struct jq_str line, const struct jq_tokens *tokens,
                              struct jq_token *token, struct jq_error *reterr) {
    const struct jq_str role = take_word(&line);
    const struct jq_str hash = take_word(&line);
    const struct jq_str queues = take_word(&line);
    const struct jq_str handlers = take_word(&line);
    const struct jq_str name = take_word(&line);
    if (name.size == 0 || take_word(&line).size > 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: five words were expected: role sha256 queues handlers name",
                       place->origin, place->line);
    if (!jq_role_of_name(role, &token->role) || token->role == JQ_ROLE_NONE)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: role '%.*s' is not one of: observer, client, worker, admin",
                       place->origin, place->line, JQ_STR_ARG(role));
    if (jq_text_parse_hex(hash, token->hash, JQ_TOKEN_HASH_SIZE, NULL) != JQ_OK)
        return jq_fail(reterr, JQ_ERR_INVALID, "%s:%d: sha256 is not 64 hexadecimal digits", place->origin,
                       place->line);
    enum jq_err err = check_first(place, tokens, token->hash, name, reterr);
    if (err == JQ_OK)
        err = read_globs(place, "queues", queues, &token->queues, reterr);
    if (err == JQ_OK)
        err = read_globs(place, "handlers", handlers, &token->handlers, reterr);
    if (err == JQ_OK)
        memcpy(token->name, name.data, name.size);
    return err;
}

/* ---- all lines --------------------------------------------------------------------------------------------------- */

static void fini_token(struct jq_token *token) {
    jq_conf_list_fini(&token->queues);
    jq_conf_list_fini(&token->handlers);
}

void jq_tokens_fini(struct jq_tokens *tokens) {
    if (tokens == NULL)
        return;
    for (size_t i = 0; i < tokens->count; i++)
        fini_token(&tokens->items[i]);
    free(tokens->items);
    *tokens = (struct jq_tokens){0};
}

static enum jq_err add_token(const struct place *place, struct jq_str line, struct jq_tokens *tokens,
                             struct jq_error *reterr) {
    if (tokens->count == JQ_TOKENS_COUNT_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s:%d: more than %d tokens", place->origin, place->line,
                       JQ_TOKENS_COUNT_MAX);
    struct jq_token *const items = realloc(tokens->items, (tokens->count + 1) * sizeof *items);
    if (items == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "%s: out of memory", place->origin);
    tokens->items = items;
    struct jq_token token = {0};
    const enum jq_err err = read_token(place, line, tokens, &token, reterr);
    if (err != JQ_OK) {
        fini_token(&token);
        return err;
    }
    items[tokens->count++] = token;
    return JQ_OK;
}

static struct jq_str take_line(struct jq_str *rest) {
    const char *const newline = memchr(rest->data, '\n', rest->size);
    const size_t size = newline != NULL ? (size_t)(newline - rest->data) : rest->size;
    const struct jq_str line = {rest->data, size};
    const size_t taken = newline != NULL ? size + 1 : size;
    *rest = (struct jq_str){rest->data + taken, rest->size - taken};
    return line;
}

enum jq_err jq_tokens_parse(const char *origin, struct jq_str text, struct jq_tokens *ret_tokens,
                            struct jq_error *reterr) {
    struct place place = {.origin = origin};
    struct jq_tokens tokens = {0};
    enum jq_err err = JQ_OK;
    while (err == JQ_OK && text.size > 0) {
        const struct jq_str line = take_line(&text);
        struct jq_str rest = line;
        const struct jq_str first = take_word(&rest);
        place.line++;
        if (first.size > 0 && first.data[0] != '#')
            err = add_token(&place, line, &tokens, reterr);
    }
    if (err == JQ_OK)
        *ret_tokens = tokens;
    else
        jq_tokens_fini(&tokens);
    return err;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Opens a file on whose mode none of the bits in `forbidden` may be set. */
static enum jq_err open_guarded(const char *path, mode_t forbidden, const char *reason, int *ret_fd,
                                struct jq_error *reterr) {
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "%s", path);
    enum jq_err err = JQ_OK;
    if (fstat(fd, &status) != 0)
        err = jq_fail_errno(reterr, errno, "%s", path);
    else if (!S_ISREG(status.st_mode))
        err = jq_fail(reterr, JQ_ERR_INVALID, "%s: no regular file", path);
    else if ((status.st_mode & forbidden) != 0)
        err = jq_fail(reterr, JQ_ERR_DENIED, "%s: mode %04o: %s", path, (unsigned)(status.st_mode & 07777), reason);
    if (err == JQ_OK)
        *ret_fd = fd;
    else
        (void)close(fd);
    return err;
}

static enum jq_err read_all(int fd, const char *path, size_t size_max, struct jq_buf *buf, struct jq_error *reterr) {
    uint8_t chunk[4096];
    for (;;) {
        const ssize_t count = read(fd, chunk, sizeof chunk);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return jq_fail_errno(reterr, errno, "%s", path);
        if (count == 0)
            return JQ_OK;
        jq_buf_append(buf, chunk, (size_t)count);
        if (buf->failed)
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: more than %zu bytes", path, size_max);
    }
}

static enum jq_err read_guarded(const char *path, mode_t forbidden, const char *reason, size_t size_max,
                                struct jq_buf *buf, struct jq_error *reterr) {
    int fd = -1;
    enum jq_err err = open_guarded(path, forbidden, reason, &fd, reterr);
    if (err != JQ_OK)
        return err;
    jq_buf_init(buf, size_max);
    err = read_all(fd, path, size_max, buf, reterr);
    (void)close(fd);
    if (err != JQ_OK)
        jq_buf_fini(buf);
    return err;
}

enum jq_err jq_tokens_read(const char *path, struct jq_tokens *ret_tokens, struct jq_error *reterr) {
    struct jq_buf buf;
    enum jq_err err =
        read_guarded(path, 022, "others than its owner can write it", JQ_TOKENS_FILE_SIZE_MAX, &buf, reterr);
    if (err != JQ_OK)
        return err;
    err = jq_tokens_parse(path, jq_buf_str(&buf), ret_tokens, reterr);
    jq_buf_fini(&buf);
    return err;
}

enum jq_err jq_token_read(const char *path, char ret_text[JQ_TOKEN_SENT_SIZE_MAX + 1], struct jq_error *reterr) {
    struct jq_buf buf;
    enum jq_err err = read_guarded(path, 07, "everyone can use it", 4096, &buf, reterr);
    if (err != JQ_OK)
        return err;
    struct jq_str rest = jq_buf_str(&buf);
    struct jq_str line = rest.size > 0 ? take_line(&rest) : rest;
    const struct jq_str token = take_word(&line);
    if (token.size == 0 || token.size > JQ_TOKEN_SENT_SIZE_MAX || memchr(token.data, '\0', token.size) != NULL) {
        err = jq_fail(reterr, JQ_ERR_INVALID, "%s: no token in its first line", path);
    } else {
        memcpy(ret_text, token.data, token.size);
        ret_text[token.size] = '\0';
    }
    explicit_bzero(buf.data, buf.size);
    jq_buf_fini(&buf);
    return err;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

const struct jq_token *jq_tokens_find(const struct jq_tokens *tokens, struct jq_str sent) {
    uint8_t hash[JQ_TOKEN_HASH_SIZE];
    const struct jq_token *found = NULL;
    if (sent.size == 0 || sent.size > JQ_TOKEN_SENT_SIZE_MAX)
        return NULL;
    hash_token(sent, hash);
    for (size_t i = 0; i < tokens->count; i++)
        if (jq_text_equal_secret(hash, tokens->items[i].hash, sizeof hash))
            found = &tokens->items[i];
    return found;
}

static bool matches_any(const struct jq_conf_list *globs, struct jq_str name) {
    for (size_t i = 0; i < globs->count; i++)
        if (jq_glob_match(jq_str_of(globs->items[i]), name))
            return true;
    return false;
}

bool jq_token_may_queue(const struct jq_token *token, struct jq_str queue) {
    return matches_any(&token->queues, queue);
}

bool jq_token_may_all_queues(const struct jq_token *token) {
    for (size_t i = 0; i < token->queues.count; i++) {
        if (jq_str_equal(jq_str_of(token->queues.items[i]), JQ_STR("*")))
            return true;
    }
    return false;
}

bool jq_token_may_handler(const struct jq_token *token, struct jq_str handler) {
    return matches_any(&token->handlers, handler);
}

enum jq_err jq_token_new(char ret_text[JQ_TOKEN_TEXT_SIZE], struct jq_error *reterr) {
    uint8_t secret[SECRET_SIZE];
    const enum jq_err err = jq_random_bytes(secret, sizeof secret, reterr);
    if (err != JQ_OK)
        return err;
    memcpy(ret_text, prefix, PREFIX_SIZE);
    (void)jq_text_format_hex((struct jq_bytes){secret, sizeof secret}, ret_text + PREFIX_SIZE);
    explicit_bzero(secret, sizeof secret);
    return JQ_OK;
}

void jq_token_append_line(struct jq_buf *buf, enum jq_role role, struct jq_str text, const char *queues,
                          const char *handlers, const char *name) {
    uint8_t hash[JQ_TOKEN_HASH_SIZE];
    char hex[2 * JQ_TOKEN_HASH_SIZE + 1];
    hash_token(text, hash);
    jq_buf_append_format(buf, "%s %s %s %s %s\n", jq_role_name(role),
                         jq_text_format_hex((struct jq_bytes){hash, sizeof hash}, hex), queues, handlers, name);
}
