#include "worker/settings_check.h"

#include "common/need.h"
#include "common/template.h"
#include "common/transport/address.h"
#include "worker/settings.h"

enum jq_err jq_check_worker_name(struct jq_str value, struct jq_error *reterr) {
    if (jq_name_valid(value))
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is no name (1 to %d of a-z 0-9 _ . -)", JQ_STR_ARG(value),
                   JQ_NAME_SIZE_MAX);
}

enum jq_err jq_check_url(struct jq_str value, struct jq_error *reterr) {
    char url[JQ_ADDRESS_SIZE_MAX + 1];
    struct jq_address address;
    if (value.size >= sizeof url)
        return jq_fail(reterr, JQ_ERR_ADDRESS, "more than %d bytes", JQ_ADDRESS_SIZE_MAX);
    memcpy(url, value.data, value.size);
    url[value.size] = '\0';
    return jq_address_parse(url, &address, reterr);
}

/* ---- placement --------------------------------------------------------------------------------------------------- */

enum jq_err jq_check_offers(struct jq_str value, struct jq_error *reterr) {
    char text[JQ_CONF_VALUE_SIZE_MAX + 1];
    struct jq_offers offers;
    JQ_CHECK(value.size < sizeof text);
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    const struct jq_worker_settings settings = {.offers = text, .slots = 1};
    const enum jq_err err = jq_worker_settings_offers(&settings, 1, 1, &offers, reterr);
    if (err == JQ_OK)
        jq_offers_fini(&offers);
    return err;
}

enum jq_err jq_check_facts(struct jq_str value, struct jq_error *reterr) {
    struct jq_facts facts;
    const enum jq_err err = jq_facts_parse(value, &facts, reterr);
    if (err == JQ_OK)
        jq_facts_fini(&facts);
    return err;
}

enum jq_err jq_check_handler_need(struct jq_str value, struct jq_error *reterr) {
    struct jq_need need;
    enum jq_err err = jq_need_parse(value, &need, reterr);
    if (err != JQ_OK)
        return err;
    if (need.count > JQ_NEED_HANDLER_GROUPS_MAX)
        err = jq_fail(reterr, JQ_ERR_TOO_BIG, "%zu alternatives, a handler has at most %d", need.count,
                      JQ_NEED_HANDLER_GROUPS_MAX);
    jq_need_fini(&need);
    return err;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

typedef enum jq_err check_word(struct jq_str word, size_t index, struct jq_error *reterr);

static enum jq_err check_words(struct jq_str value, bool quotes, check_word *check, struct jq_error *reterr) {
    struct jq_conf_list list;
    enum jq_err err = jq_conf_list_parse(value, quotes, &list, reterr);
    if (err != JQ_OK)
        return err;
    for (size_t i = 0; err == JQ_OK && i < list.count; i++)
        err = check(jq_str_of(list.items[i]), i, reterr);
    jq_conf_list_fini(&list);
    return err;
}

/* A program by its absolute path, or by its name alone for a search of the PATH: what runs must not depend on the
 * folder in which the worker was started, nor on a task. */
static enum jq_err check_program(struct jq_str word, size_t index, struct jq_error *reterr) {
    if (index > 0)
        return JQ_OK;
    const bool has_slash = word.size > 0 && memchr(word.data, '/', word.size) != NULL;
    if (word.size == 0 || (has_slash && word.data[0] != '/') || memchr(word.data, '{', word.size) != NULL)
        return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is neither the absolute path nor the name of a program",
                       JQ_STR_ARG(word));
    return JQ_OK;
}

enum jq_err jq_check_command(struct jq_str value, struct jq_error *reterr) {
    return check_words(value, true, check_program, reterr);
}

static enum jq_err check_task_word(struct jq_str word, size_t index, struct jq_error *reterr) {
    const enum jq_err err = check_program(word, index, reterr);
    return err != JQ_OK ? err : jq_template_check(word, reterr);
}

enum jq_err jq_check_task_command(struct jq_str value, struct jq_error *reterr) {
    return check_words(value, true, check_task_word, reterr);
}

static bool is_variable_byte(char c, bool first) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

static enum jq_err check_variable(struct jq_str word, size_t index, struct jq_error *reterr) {
    (void)index;
    size_t size = 0;
    while (size < word.size && is_variable_byte(word.data[size], size == 0))
        size++;
    if (size > 0 && size < word.size && word.data[size] == '=')
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is not written NAME=value", JQ_STR_ARG(word));
}

static enum jq_err check_path(struct jq_str word, size_t index, struct jq_error *reterr) {
    (void)index;
    return word.size > 0 && word.data[0] == '/'
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_INVALID, "'%.*s': an absolute path is needed", JQ_STR_ARG(word));
}

enum jq_err jq_check_paths(struct jq_str value, struct jq_error *reterr) {
    return check_words(value, true, check_path, reterr);
}

enum jq_err jq_check_env(struct jq_str value, struct jq_error *reterr) {
    return check_words(value, true, check_variable, reterr);
}

/* ---- other texts ------------------------------------------------------------------------------------------------- */

enum jq_err jq_check_user(struct jq_str value, struct jq_error *reterr) {
    for (size_t i = 0; i < value.size; i++)
        if (!is_variable_byte(value.data[i], false) && value.data[i] != '-')
            return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is no user name", JQ_STR_ARG(value));
    return value.size <= 32 ? JQ_OK : jq_fail(reterr, JQ_ERR_INVALID, "a user name of more than 32 bytes");
}

enum jq_err jq_check_cgroup(struct jq_str value, struct jq_error *reterr) {
    if (jq_str_equal(value, JQ_STR("auto")) || jq_str_equal(value, JQ_STR("none")) || value.data[0] == '/')
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is neither auto nor none nor an absolute path", JQ_STR_ARG(value));
}

/* A file name stays in its folder. */
enum jq_err jq_check_script(struct jq_str value, struct jq_error *reterr) {
    const bool is_python = value.size > 3 && memcmp(value.data + value.size - 3, ".py", 3) == 0;
    const bool has_slash = memchr(value.data, '/', value.size) != NULL;
    if (is_python && value.data[0] != '.' && (value.data[0] == '/' || !has_slash))
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "'%.*s' is neither a file name nor an absolute path of a .py file",
                   JQ_STR_ARG(value));
}

enum jq_err jq_check_service(struct jq_str value, struct jq_error *reterr) {
    return value.size == 0 || jq_name_valid(value)
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_INVALID, "not a name: 1 to %d of a-z 0-9 _ . -", JQ_NAME_SIZE_MAX);
}

enum jq_err jq_check_version(struct jq_str value, struct jq_error *reterr) {
    if (value.size > JQ_HANDLER_VERSION_SIZE_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "more than %d bytes", JQ_HANDLER_VERSION_SIZE_MAX);
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] > '~')
            return jq_fail(reterr, JQ_ERR_INVALID, "blanks and what is not ASCII cannot be part of a version");
    return JQ_OK;
}
