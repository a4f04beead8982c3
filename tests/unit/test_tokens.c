#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/tokens.h"

/* SHA-256 of "abc" (FIPS 180-4, example B.1). */
#define HASH_OF_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

/* A token is known by its hash, and may do what its line says. */
static void a_token_is_known_by_its_hash(void **state) {
    (void)state;
    struct jq_tokens tokens;
    const char text[] = "# role sha256 queues handlers name\n\n"
                        "  client " HASH_OF_ABC " cad.*,mail * web\r\n";
    assert_int_equal(jq_tokens_parse("t", jq_str_of(text), &tokens, NULL), JQ_OK);
    assert_int_equal(tokens.count, 1);
    const struct jq_token *const token = jq_tokens_find(&tokens, JQ_STR("abc"));
    assert_non_null(token);
    assert_int_equal(token->role, JQ_ROLE_CLIENT);
    assert_string_equal(token->name, "web");
    assert_true(jq_token_may_queue(token, JQ_STR("cad.step")));
    assert_true(jq_token_may_queue(token, JQ_STR("mail")));
    assert_false(jq_token_may_queue(token, JQ_STR("mails")));
    assert_true(jq_token_may_handler(token, JQ_STR("anything")));
    assert_null(jq_tokens_find(&tokens, JQ_STR("abd")));
    assert_null(jq_tokens_find(&tokens, JQ_STR("")));
    assert_null(jq_tokens_find(&tokens, JQ_STR(HASH_OF_ABC)));
    jq_tokens_fini(&tokens);
}

static void expect_refused(const char *text, const char *message) {
    struct jq_tokens tokens;
    struct jq_error error = {0};
    assert_int_not_equal(jq_tokens_parse("t", jq_str_of(text), &tokens, &error), JQ_OK);
    assert_string_equal(error.message, message);
}

/* A slip in the file of tokens stops the broker, with file, line and reason: it must not open a door. */
static void bad_lines_are_refused(void **state) {
    (void)state;
    expect_refused("\nadmin\n", "t:2: five words were expected: role sha256 queues handlers name");
    expect_refused("admin " HASH_OF_ABC " * * a b\n",
                   "t:1: five words were expected: role sha256 queues handlers name");
    expect_refused("root " HASH_OF_ABC " * * a\n", "t:1: role 'root' is not one of: observer, client, worker, admin");
    expect_refused("none " HASH_OF_ABC " * * a\n", "t:1: role 'none' is not one of: observer, client, worker, admin");
    expect_refused("admin ba78 * * a\n", "t:1: sha256 is not 64 hexadecimal digits");
    expect_refused("admin " HASH_OF_ABC " * * A\n", "t:1: name 'A': 1 to 64 of a-z 0-9 _ . -");
    expect_refused("admin " HASH_OF_ABC " a/b * a\n",
                   "t:1: queues: 'a/b': 1 to 64 globs of a-z 0-9 _ . - * ? between commas");
    expect_refused("admin " HASH_OF_ABC " * , a\n",
                   "t:1: handlers: '': 1 to 64 globs of a-z 0-9 _ . - * ? between commas");
    expect_refused("admin " HASH_OF_ABC " * * a\nclient " HASH_OF_ABC " * * b\n", "t:2: the token of 'a' stands twice");
}

/* A new token and its line fit together; two tokens are never alike. */
static void a_new_token_is_admitted_by_its_line(void **state) {
    (void)state;
    char text[JQ_TOKEN_TEXT_SIZE];
    char other[JQ_TOKEN_TEXT_SIZE];
    struct jq_buf buf;
    struct jq_tokens tokens;
    assert_int_equal(jq_token_new(text, NULL), JQ_OK);
    assert_int_equal(jq_token_new(other, NULL), JQ_OK);
    assert_string_not_equal(text, other);
    assert_int_equal(strlen(text), JQ_TOKEN_TEXT_SIZE - 1);
    jq_buf_init(&buf, 4096);
    jq_token_append_line(&buf, JQ_ROLE_WORKER, jq_str_of(text), "*", "cad.*", "shop-1");
    assert_int_equal(jq_tokens_parse("t", jq_buf_str(&buf), &tokens, NULL), JQ_OK);
    assert_int_equal(jq_tokens_find(&tokens, jq_str_of(text))->role, JQ_ROLE_WORKER);
    assert_null(jq_tokens_find(&tokens, jq_str_of(other)));
    assert_null(memmem(buf.data, buf.size, text + 4, 64));
    jq_tokens_fini(&tokens);
    jq_buf_fini(&buf);
}

static void write_file(const char *path, const char *text, mode_t mode) {
    FILE *const file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

/* Who can write the file of hashes can admit himself; who can read a token's file has the token. Both are refused. */
static void files_that_others_can_use_are_refused(void **state) {
    (void)state;
    char path[] = "/tmp/jq-test-tokens-XXXXXX";
    char token[JQ_TOKEN_SENT_SIZE_MAX + 1];
    struct jq_tokens tokens;
    struct jq_error error = {0};
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    write_file(path, "admin " HASH_OF_ABC " * * a\n", 0660);
    assert_int_equal(jq_tokens_read(path, &tokens, &error), JQ_ERR_DENIED);
    write_file(path, "admin " HASH_OF_ABC " * * a\n", 0644);
    assert_int_equal(jq_tokens_read(path, &tokens, &error), JQ_OK);
    jq_tokens_fini(&tokens);
    write_file(path, "  jqt_secret \nsecond line\n", 0644);
    assert_int_equal(jq_token_read(path, token, &error), JQ_ERR_DENIED);
    write_file(path, "  jqt_secret \nsecond line\n", 0440);
    assert_int_equal(jq_token_read(path, token, &error), JQ_OK);
    assert_string_equal(token, "jqt_secret");
    assert_int_equal(chmod(path, 0600), 0);
    write_file(path, "\n", 0600);
    assert_int_equal(jq_token_read(path, token, &error), JQ_ERR_INVALID);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(jq_tokens_read(path, &tokens, &error), JQ_ERR_NOT_FOUND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_by_its_hash),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(a_new_token_is_admitted_by_its_line),
        cmocka_unit_test(files_that_others_can_use_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
