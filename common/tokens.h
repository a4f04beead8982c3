/* tokens.h - who may do what: the file of access tokens, as hashes, and the check of a token that someone sent.
 *
 * A token is "jqt_" and 64 hexadecimal digits: 256 random bits. It is shown once, when it is made; the broker keeps its
 * SHA-256 (FIPS 180-4) alone, in a file of one line a token:
 *
 *     # role  sha256  queues  handlers  name
 *     client  9f86d081...0f00a08  cad.*,mail  *  web-frontend
 *
 * role is observer, client, worker or admin; queues and handlers are globs between commas, `*` for all; the name is for
 * people and for logs, [a-z0-9_.-]{1,64}, unique in the file. Empty lines and lines that begin with '#' are skipped.
 *
 * Ownership: struct jq_tokens owns everything; a token found in it is borrowed.
 * Errors:    JQ_ERR_INVALID and JQ_ERR_TOO_BIG with "FILE:LINE: reason"; those of opening and reading a file.
 *            JQ_ERR_DENIED: people who should not can write the file of hashes, or read the file of a token.
 */
#ifndef JQ_COMMON_TOKENS_H
#define JQ_COMMON_TOKENS_H

#include "common/buf.h"
#include "common/conf.h"
#include "common/err.h"
#include "common/types.h"
#include "common/vocab.h"

enum {
    JQ_TOKEN_HASH_SIZE = 32,
    JQ_TOKEN_TEXT_SIZE = 69,      /* with its NUL */
    JQ_TOKEN_SENT_SIZE_MAX = 255, /* what is hashed at all */
    JQ_TOKENS_COUNT_MAX = 4096,
    JQ_TOKENS_FILE_SIZE_MAX = 4 * 1024 * 1024,
};

struct jq_token {
    enum jq_role role;
    uint8_t hash[JQ_TOKEN_HASH_SIZE];
    struct jq_conf_list queues;
    struct jq_conf_list handlers;
    char name[JQ_NAME_SIZE_MAX + 1];
};

struct jq_tokens {
    struct jq_token *items;
    size_t count;
};

/* `origin` names the text in messages. */
enum jq_err jq_tokens_parse(const char *origin, struct jq_str text, struct jq_tokens *ret_tokens,
                            struct jq_error *reterr);
enum jq_err jq_tokens_read(const char *path, struct jq_tokens *ret_tokens, struct jq_error *reterr);
void jq_tokens_fini(struct jq_tokens *tokens);

/* The token that was sent, or NULL. Takes the same time for every token of one size. */
const struct jq_token *jq_tokens_find(const struct jq_tokens *tokens, struct jq_str sent);

bool jq_token_may_queue(const struct jq_token *token, struct jq_str queue);
bool jq_token_may_handler(const struct jq_token *token, struct jq_str handler);
bool jq_token_may_all_queues(const struct jq_token *token); /* `*` is among its globs */

/* A new token, and the line that admits it. `queues` and `handlers` are as in the file. */
enum jq_err jq_token_new(char ret_text[JQ_TOKEN_TEXT_SIZE], struct jq_error *reterr);
void jq_token_append_line(struct jq_buf *buf, enum jq_role role, struct jq_str text, const char *queues,
                          const char *handlers, const char *name);

/* The token of a client or worker, from the first line of a file. */
enum jq_err jq_token_read(const char *path, char ret_text[JQ_TOKEN_SENT_SIZE_MAX + 1], struct jq_error *reterr);

#endif
