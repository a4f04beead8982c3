#include "broker/shell/auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { OWN_UID = 1000, OTHER_UID = 1001 };

static struct jq_tokens tokens;
static struct jq_authority authority;
static char client_token[JQ_TOKEN_TEXT_SIZE];

/* One client's token, for queue cad.* and handlers starting with "mesh". */
static int begin(void **state) {
    (void)state;
    struct jq_buf file;
    struct jq_error error;
    jq_buf_init(&file, 4096);
    assert_int_equal(jq_token_new(client_token, &error), JQ_OK);
    jq_token_append_line(&file, JQ_ROLE_CLIENT, jq_str_of(client_token), "cad.*", "mesh*", "web");
    assert_int_equal(jq_tokens_parse("tokens", jq_buf_str(&file), &tokens, &error), JQ_OK);
    jq_buf_fini(&file);
    authority = (struct jq_authority){.tokens = &tokens, .own_uid = OWN_UID};
    return 0;
}

static int end(void **state) {
    (void)state;
    jq_tokens_fini(&tokens);
    return 0;
}

static const struct jq_peer far = {.address = "192.0.2.1:5"};

static struct jq_peer ipc_peer(uint32_t uid) {
    return (struct jq_peer){.is_ipc = true, .loopback = true, .uid_known = true, .uid = uid};
}

/* NONE: refused. */
static enum jq_role role_of(const struct jq_peer *peer, const char *token) {
    struct jq_principal principal;
    return jq_auth_identify(&authority, peer, jq_str_of(token), &principal) ? principal.role : JQ_ROLE_NONE;
}

/* A token makes whom its line names; an unknown one makes nobody, and none makes nobody. */
static void tokens_decide(void **state) {
    (void)state;
    assert_int_equal(role_of(&far, client_token), JQ_ROLE_CLIENT);
    assert_int_equal(role_of(&far, "jqt_0000"), JQ_ROLE_NONE);
    assert_int_equal(role_of(&far, ""), JQ_ROLE_NONE);
}

/* Over ipc the kernel tells the uid: root and the broker's own user are admins, nobody else is; a wrong token is not excused by it. */
static void uid_decides_on_ipc(void **state) {
    (void)state;
    const struct jq_peer root = ipc_peer(0);
    const struct jq_peer own = ipc_peer(OWN_UID);
    const struct jq_peer other = ipc_peer(OTHER_UID);
    const struct jq_peer unknown = {.is_ipc = true, .loopback = true};
    assert_int_equal(role_of(&root, ""), JQ_ROLE_ADMIN);
    assert_int_equal(role_of(&own, ""), JQ_ROLE_ADMIN);
    assert_int_equal(role_of(&other, ""), JQ_ROLE_NONE);
    assert_int_equal(role_of(&other, client_token), JQ_ROLE_CLIENT);
    assert_int_equal(role_of(&unknown, ""), JQ_ROLE_NONE);
    assert_int_equal(role_of(&own, "jqt_0000"), JQ_ROLE_NONE);
}

/* auth = off: everybody is an admin (and the broker listens on this machine only). */
static void off_lets_all_in(void **state) {
    (void)state;
    authority.off = true;
    assert_int_equal(role_of(&far, ""), JQ_ROLE_ADMIN);
}

static enum jq_reply permit(enum jq_role role, const struct jq_token *token, const char *op,
                            struct jq_request *request) {
    const struct jq_principal principal = {.role = role, .token = token};
    const char *field = NULL;
    const char *reason = NULL;
    const struct jq_op_info *info = jq_op_find(jq_str_of(op));
    assert_non_null(info);
    request->op = (enum jq_op)info->number;
    const enum jq_reply reply = jq_auth_permit(&principal, info, request, &field, &reason);
    if (reply != JQ_REPLY_OK) {
        assert_non_null(field);
        assert_non_null(reason);
    }
    return reply;
}

/* The message table says which role an operation needs: an observer only looks, a client submits, a worker leases, an admin steers. */
static void roles_permit(void **state) {
    (void)state;
    struct jq_request request = {.op = JQ_OP_NONE};
    assert_int_equal(permit(JQ_ROLE_OBSERVER, NULL, "server.status", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_OBSERVER, NULL, "submit", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_CLIENT, NULL, "submit", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_CLIENT, NULL, "lease", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_WORKER, NULL, "lease", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_WORKER, NULL, "queue.set", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_ADMIN, NULL, "queue.set", &request), JQ_REPLY_OK);
}

/* A backup holds what is in all queues: it takes an admin, whose token allows all of them. */
static void a_backup_takes_all_queues(void **state) {
    (void)state;
    struct jq_request request = {.op = JQ_OP_NONE};
    assert_int_equal(permit(JQ_ROLE_ADMIN, NULL, "backup.begin", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_CLIENT, NULL, "backup.begin", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "backup.begin", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "backup.read", &request), JQ_REPLY_FORBIDDEN);
}

/* A blob is of no queue, and whoever knows its hash has had its bytes: a list of all hashes is for tokens that allow all queues, and so
 * is what drops blobs and cached results of everybody. */
static void a_list_of_blobs_takes_all_queues(void **state) {
    (void)state;
    struct jq_request request = {.op = JQ_OP_NONE};
    assert_int_equal(permit(JQ_ROLE_CLIENT, &tokens.items[0], "blob.stat", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_CLIENT, &tokens.items[0], "blob.ls", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "blob.gc", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "cache.purge", &request), JQ_REPLY_FORBIDDEN);
    assert_int_equal(permit(JQ_ROLE_CLIENT, NULL, "blob.ls", &request), JQ_REPLY_OK);
}

/* The core is told how far a request reaches: as far as the token's globs; without a token, or with `*`, everywhere. */
static void requests_reach_as_far_as_the_globs(void **state) {
    (void)state;
    struct jq_request request = {.op = JQ_OP_NONE};
    assert_int_equal(permit(JQ_ROLE_CLIENT, &tokens.items[0], "task.show", &request), JQ_REPLY_OK);
    assert_true(request.reach.limited);
    assert_int_equal(request.reach.count, 1);
    assert_string_equal(request.reach.globs[0], "cad.*");
    request = (struct jq_request){.op = JQ_OP_NONE};
    assert_int_equal(permit(JQ_ROLE_CLIENT, NULL, "task.show", &request), JQ_REPLY_OK);
    assert_false(request.reach.limited);
}

/* Nothing is moved or edited into a queue that the token does not allow, nor to a handler that it does not allow. */
static void globs_judge_where_a_task_goes(void **state) {
    (void)state;
    struct jq_request move = {.u.tasks.to = JQ_STR("cad.step")};
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "task.move", &move), JQ_REPLY_OK);
    move.u.tasks.to = JQ_STR("mail");
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "task.move", &move), JQ_REPLY_FORBIDDEN);
    struct jq_request edit = {.u.edit.given = JQ_EDIT_PRIORITY};
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "dead.edit", &edit), JQ_REPLY_OK);
    edit.u.edit.given = JQ_EDIT_QUEUE;
    edit.u.edit.item.queue = JQ_STR("mail");
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "dead.edit", &edit), JQ_REPLY_FORBIDDEN);
    edit.u.edit.given = JQ_EDIT_HANDLER;
    edit.u.edit.item.handler = JQ_STR("rm");
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "dead.edit", &edit), JQ_REPLY_FORBIDDEN);
}

/* A token's globs hold for what a schedule submits too: nobody gets by the clock what he may not submit by hand. */
static void globs_judge_a_schedule(void **state) {
    (void)state;
    struct jq_request request = {.op = JQ_OP_NONE};
    struct jq_submit_item *task = &request.u.schedule.def.task;
    request.u.schedule.def.name = JQ_STR("cad.nightly");
    *task = (struct jq_submit_item){.queue = JQ_STR("cad.step"), .handler = JQ_STR("mesh.fine")};
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "schedule.set", &request), JQ_REPLY_OK);
    assert_int_equal(permit(JQ_ROLE_CLIENT, &tokens.items[0], "schedule.set", &request), JQ_REPLY_FORBIDDEN);
    task->queue = JQ_STR("mail");
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "schedule.set", &request), JQ_REPLY_FORBIDDEN);
    task->queue = JQ_STR("cad.step");
    task->handler = JQ_STR("rm");
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "schedule.set", &request), JQ_REPLY_FORBIDDEN);
}

/* Nobody looks into, takes over, removes, pauses or runs another's schedule: one that stands is judged by its name, as a queue of that name. */
static void globs_judge_the_name_of_a_schedule(void **state) {
    static const char *const ops[] = {"schedule.rm", "schedule.pause", "schedule.run", "schedule.show"};
    (void)state;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct jq_request request = {.u.named.name = JQ_STR("cad.nightly")};
        assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], ops[i], &request), JQ_REPLY_OK);
        request.u.named.name = JQ_STR("mail.nightly");
        assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], ops[i], &request), JQ_REPLY_FORBIDDEN);
        assert_int_equal(permit(JQ_ROLE_ADMIN, NULL, ops[i], &request), JQ_REPLY_OK);
    }
    struct jq_request set = {.u.schedule.def = {.name = JQ_STR("mail.nightly"),
                                                .task = {.queue = JQ_STR("cad.step"), .handler = JQ_STR("mesh.fine")}}};
    assert_int_equal(permit(JQ_ROLE_ADMIN, &tokens.items[0], "schedule.set", &set), JQ_REPLY_FORBIDDEN);
}

/* A token's globs judge each task of a submit by itself: the others are not refused with it, and a task that the decoder
 * has refused keeps its own reason. */
static void globs_judge_each_task(void **state) {
    (void)state;
    struct jq_submit_item items[] = {
        {.queue = JQ_STR("cad.step"), .handler = JQ_STR("mesh.fine")},
        {.queue = JQ_STR("mail"), .handler = JQ_STR("mesh.fine")},
        {.queue = JQ_STR("cad.step"), .handler = JQ_STR("rm")},
        {.queue = JQ_STR("mail"), .handler = JQ_STR("rm"), .refused = JQ_REPLY_INVALID, .field = "need"},
    };
    struct jq_request request = {.u.submit = {.items = items, .count = 4}};
    assert_int_equal(permit(JQ_ROLE_CLIENT, &tokens.items[0], "submit", &request), JQ_REPLY_OK);
    assert_int_equal(items[0].refused, JQ_REPLY_OK);
    assert_int_equal(items[1].refused, JQ_REPLY_FORBIDDEN);
    assert_string_equal(items[1].field, "queue");
    assert_int_equal(items[2].refused, JQ_REPLY_FORBIDDEN);
    assert_string_equal(items[2].field, "handler");
    assert_int_equal(items[3].refused, JQ_REPLY_INVALID);
    assert_string_equal(items[3].field, "need");
}

/* A worker's token must allow every handler that the worker defines. */
static void globs_judge_a_registration(void **state) {
    (void)state;
    const struct jq_handler_def handlers[] = {{.name = JQ_STR("mesh.fine")}, {.name = JQ_STR("mail")}};
    struct jq_request request = {.u.reg = {.handlers = handlers, .handler_count = 1}};
    assert_int_equal(permit(JQ_ROLE_WORKER, &tokens.items[0], "register", &request), JQ_REPLY_OK);
    request.u.reg.handler_count = 2;
    assert_int_equal(permit(JQ_ROLE_WORKER, &tokens.items[0], "register", &request), JQ_REPLY_FORBIDDEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tokens_decide, begin, end),
        cmocka_unit_test_setup_teardown(uid_decides_on_ipc, begin, end),
        cmocka_unit_test_setup_teardown(off_lets_all_in, begin, end),
        cmocka_unit_test_setup_teardown(roles_permit, begin, end),
        cmocka_unit_test_setup_teardown(a_backup_takes_all_queues, begin, end),
        cmocka_unit_test_setup_teardown(a_list_of_blobs_takes_all_queues, begin, end),
        cmocka_unit_test_setup_teardown(requests_reach_as_far_as_the_globs, begin, end),
        cmocka_unit_test_setup_teardown(globs_judge_where_a_task_goes, begin, end),
        cmocka_unit_test_setup_teardown(globs_judge_a_schedule, begin, end),
        cmocka_unit_test_setup_teardown(globs_judge_the_name_of_a_schedule, begin, end),
        cmocka_unit_test_setup_teardown(globs_judge_each_task, begin, end),
        cmocka_unit_test_setup_teardown(globs_judge_a_registration, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
