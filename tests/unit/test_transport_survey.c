/* Surveys: one question to all, no answer lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/transport/survey.h"
#include "tests/lib/event.h"

enum { RESPONDENT_COUNT = 200, ROUND_COUNT = 5 };

struct surveyor {
    struct jq_survey_server *server;
    struct event answered;
    unsigned answers[ROUND_COUNT + 1][RESPONDENT_COUNT]; /* by survey id and respondent */
    char last[64];
};

struct respondent {
    struct jq_survey_respondent *respondent;
    uint32_t number;
    struct event asked;
    struct jq_survey_turn *turn; /* kept by keep_turn() */
    char survey[64];
};

static void count_answer(void *ctx, uint32_t survey_id, struct jq_bytes response, uint32_t pipe_id) {
    struct surveyor *surveyor = ctx;
    (void)pipe_id;
    uint32_t number = 0;
    snprintf(surveyor->last, sizeof surveyor->last, "%u:%.*s", survey_id, (int)response.size,
             (const char *)response.data);
    if (response.size == sizeof number && survey_id <= ROUND_COUNT) {
        memcpy(&number, response.data, sizeof number);
        surveyor->answers[survey_id][number]++;
    }
    event_add(&surveyor->answered);
}

static void answer_number(void *ctx, struct jq_survey_turn *turn, struct jq_bytes survey) {
    struct respondent *respondent = ctx;
    (void)survey;
    const struct jq_bytes number = {(const uint8_t *)&respondent->number, sizeof respondent->number};
    JQ_CHECK(jq_survey_answer(turn, number) == JQ_OK);
}

static void keep_turn(void *ctx, struct jq_survey_turn *turn, struct jq_bytes survey) {
    struct respondent *respondent = ctx;
    respondent->turn = turn;
    snprintf(respondent->survey, sizeof respondent->survey, "%.*s", (int)survey.size, (const char *)survey.data);
    event_add(&respondent->asked);
}

static struct surveyor *open_surveyor(const char *url) {
    struct surveyor *surveyor = calloc(1, sizeof *surveyor);
    assert_non_null(surveyor);
    surveyor->answered = (struct event)EVENT_INIT;
    const struct jq_survey_server_config config = {
        .urls = &url, .url_count = 1, .ctx = surveyor, .on_response = count_answer};
    assert_int_equal(jq_survey_server_open(&config, &surveyor->server, NULL), JQ_OK);
    return surveyor;
}

typedef void on_survey_fn(void *ctx, struct jq_survey_turn *turn, struct jq_bytes survey);

static void respondent_open(struct respondent *respondent, const struct surveyor *surveyor, on_survey_fn *on_survey) {
    const char *url = jq_survey_server_url(surveyor->server, 0);
    const struct jq_survey_respondent_config config = {
        .urls = &url, .url_count = 1, .ctx = respondent, .on_survey = on_survey};
    respondent->asked = (struct event)EVENT_INIT;
    assert_int_equal(jq_survey_respondent_open(&config, &respondent->respondent, NULL), JQ_OK);
}

static void wait_for_peers(struct surveyor *surveyor, size_t count) {
    const int64_t deadline_ns = jq_clock_mono_ns() + EVENT_WAIT_MAX_S * INT64_C(1000000000);
    while (jq_survey_server_peer_count(surveyor->server) != count && jq_clock_mono_ns() < deadline_ns) {
        sched_yield();
    }
    assert_int_equal(jq_survey_server_peer_count(surveyor->server), count);
}

static void ask(struct surveyor *surveyor, uint32_t survey_id, const char *text) {
    assert_int_equal(
        jq_survey_send(surveyor->server, survey_id, (struct jq_bytes){(const uint8_t *)text, strlen(text)}), JQ_OK);
}

/* Every one of 200 respondents answers every survey once, under its id. (A cooked surveyor keeps 128 and drops the rest.) */
static void no_answer_is_lost(void **state) {
    (void)state;
    char url[64];
    snprintf(url, sizeof url, "ipc:///tmp/jq-test-%ld-survey.sock", (long)getpid());
    struct surveyor *surveyor = open_surveyor(url);
    struct respondent *respondents = calloc(RESPONDENT_COUNT, sizeof *respondents);
    assert_non_null(respondents);
    for (uint32_t i = 0; i < RESPONDENT_COUNT; i++) {
        respondents[i].number = i;
        respondent_open(&respondents[i], surveyor, answer_number);
    }
    wait_for_peers(surveyor, RESPONDENT_COUNT);
    for (uint32_t id = 1; id <= ROUND_COUNT; id++) {
        ask(surveyor, id, "how are you?");
        assert_true(event_wait(&surveyor->answered, (uint64_t)id * RESPONDENT_COUNT));
    }
    for (uint32_t i = 0; i < RESPONDENT_COUNT; i++) {
        jq_survey_respondent_stop(respondents[i].respondent);
    }
    wait_for_peers(surveyor, 0);
    jq_survey_server_stop(surveyor->server);
    for (uint32_t id = 1; id <= ROUND_COUNT; id++) {
        for (uint32_t i = 0; i < RESPONDENT_COUNT; i++) {
            assert_int_equal(surveyor->answers[id][i], 1);
        }
    }
}

static void *answer_late(void *arg) {
    JQ_CHECK(jq_survey_answer(arg, (struct jq_bytes){(const uint8_t *)"late", 4}) == JQ_OK);
    return NULL;
}

/* A turn may be kept and answered later by another thread; a skipped one says nothing, and the next survey comes all the same. */
static void a_turn_is_answered_later_or_skipped(void **state) {
    (void)state;
    struct surveyor *surveyor = open_surveyor("tcp://127.0.0.1:0");
    struct respondent *respondent = calloc(1, sizeof *respondent);
    assert_non_null(respondent);
    respondent_open(respondent, surveyor, keep_turn);
    wait_for_peers(surveyor, 1);
    for (uint32_t id = 6; id <= 25; id++) { /* More than there are turns. */
        ask(surveyor, id, "skip it");
        assert_true(event_wait(&respondent->asked, id - 5));
        jq_survey_skip(respondent->turn);
    }
    ask(surveyor, JQ_SURVEY_ID_MAX, "keep it");
    assert_true(event_wait(&respondent->asked, 21));
    assert_string_equal(respondent->survey, "keep it");
    assert_int_equal(event_count(&surveyor->answered), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, answer_late, respondent->turn), 0);
    assert_true(event_wait(&surveyor->answered, 1));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(surveyor->last, "2147483647:late");
    jq_survey_respondent_stop(respondent->respondent);
    jq_survey_server_stop(surveyor->server);
}

/* Sizes are checked before anything is sent; a turn whose response was too big is still open. */
static void surveys_beyond_the_limit_are_refused(void **state) {
    (void)state;
    static const uint8_t big[JQ_FRAME_SIZE_MAX + 1];
    const struct jq_bytes most = {big, JQ_FRAME_SIZE_MAX};
    const struct jq_bytes more = {big, JQ_FRAME_SIZE_MAX + 1};
    struct surveyor *surveyor = open_surveyor("tcp://127.0.0.1:0");
    struct respondent *respondent = calloc(1, sizeof *respondent);
    assert_non_null(respondent);
    respondent_open(respondent, surveyor, keep_turn);
    wait_for_peers(surveyor, 1);
    assert_int_equal(jq_survey_send(surveyor->server, 1, more), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_survey_send(surveyor->server, 1, most), JQ_OK);
    assert_true(event_wait(&respondent->asked, 1));
    assert_int_equal(jq_survey_answer(respondent->turn, more), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_survey_answer(respondent->turn, most), JQ_OK);
    assert_true(event_wait(&surveyor->answered, 1));
    jq_survey_respondent_stop(respondent->respondent);
    jq_survey_server_stop(surveyor->server);
}

static int listen_raw(char *url, size_t size) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_size = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &address_size), 0);
    snprintf(url, size, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* A surveyor that shakes hands and then says nothing at all may be a dead connection: the respondent leaves it and comes again. */
static void silence_is_a_lost_connection(void **state) {
    (void)state;
    static const uint8_t surveyor_hello[8] = {0, 'S', 'P', 0, 0, 0x62, 0, 0};
    char url_text[64];
    uint8_t hello[8];
    const char *url = url_text;
    const int fd = listen_raw(url_text, sizeof url_text);
    struct jq_survey_respondent *respondent = NULL;
    const struct jq_survey_respondent_config config = {
        .urls = &url, .url_count = 1, .on_survey = keep_turn, .silence_max_ms = 20};
    assert_int_equal(jq_survey_respondent_open(&config, &respondent, NULL), JQ_OK);
    for (int i = 0; i < 3; i++) {
        const int peer = accept(fd, NULL, NULL);
        assert_true(peer >= 0);
        assert_int_equal(write(peer, surveyor_hello, 8), 8);
        while (recv(peer, hello, sizeof hello, 0) > 0) { /* Its hello, then the end. */
        }
        close(peer);
    }
    jq_survey_respondent_stop(respondent);
    close(fd);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_answer_is_lost),
        cmocka_unit_test(a_turn_is_answered_later_or_skipped),
        cmocka_unit_test(surveys_beyond_the_limit_are_refused),
        cmocka_unit_test(silence_is_a_lost_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
