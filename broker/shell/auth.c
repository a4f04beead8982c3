#include "broker/shell/auth.h"

static bool identify_by_uid(const struct jq_authority *auth, const struct jq_peer *peer,
                            struct jq_principal *ret_principal) {
    if (!peer->is_ipc || !peer->uid_known || (peer->uid != 0 && peer->uid != auth->own_uid))
        return false;
    *ret_principal = (struct jq_principal){.role = JQ_ROLE_ADMIN};
    return true;
}

bool jq_auth_identify(const struct jq_authority *auth, const struct jq_peer *peer, struct jq_str token,
                      struct jq_principal *ret_principal) {
    if (auth->off) {
        *ret_principal = (struct jq_principal){.role = JQ_ROLE_ADMIN};
        return true;
    }
    if (token.size == 0)
        return identify_by_uid(auth, peer, ret_principal);
    const struct jq_token *found = auth->tokens != NULL ? jq_tokens_find(auth->tokens, token) : NULL;
    if (found == NULL)
        return false;
    *ret_principal = (struct jq_principal){.role = found->role, .token = found};
    return true;
}

/* The decoder lends the tasks for the time of the request: marking them is what `refused` is for. */
static void permit_submit(const struct jq_token *token, struct jq_request *request) {
    struct jq_submit_item *items = (struct jq_submit_item *)request->u.submit.items;
    for (size_t i = 0; i < request->u.submit.count; i++) {
        if (items[i].refused != JQ_REPLY_OK)
            continue;
        const bool queue = jq_token_may_queue(token, items[i].queue);
        if (queue && jq_token_may_handler(token, items[i].handler))
            continue;
        items[i].refused = JQ_REPLY_FORBIDDEN;
        items[i].field = queue ? "handler" : "queue";
        items[i].reason = "the token does not allow it";
    }
}

static bool permit_register(const struct jq_token *token, const struct jq_request *request) {
    for (size_t i = 0; i < request->u.reg.handler_count; i++) {
        if (!jq_token_may_handler(token, request->u.reg.handlers[i].name))
            return false;
    }
    return true;
}

/* The scope parses: the decoder has seen it. */
static bool permit_limit(const struct jq_token *token, struct jq_str text) {
    struct jq_scope scope;
    if (jq_scope_parse(text, &scope, NULL) != JQ_OK)
        return false;
    return scope.kind == JQ_SCOPE_HANDLER ? jq_token_may_handler(token, scope.name)
                                          : jq_token_may_queue(token, scope.name);
}

/* A selection reaches further than ids that somebody knows: it must name a queue that the token may touch. */
static bool permit_where(const struct jq_token *token, const struct jq_request *request) {
    struct jq_str queue;
    return jq_where_exact(request->u.tasks.where, JQ_WHERE_QUEUE, &queue) && jq_token_may_queue(token, queue);
}

/* What a schedule that stands submits is not known here: its name is judged like a queue's. */
static bool permit_schedule(const struct jq_token *token, struct jq_str name) {
    return jq_token_may_all_queues(token) || jq_token_may_queue(token, name);
}

static bool names_schedule(enum jq_op op) {
    return op == JQ_OP_SCHEDULE_RM || op == JQ_OP_SCHEDULE_PAUSE || op == JQ_OP_SCHEDULE_RUN ||
           op == JQ_OP_SCHEDULE_SHOW;
}

/* The journal holds what is in all queues; blobs and cached results belong to none. Whoever knows a blob's hash has had its bytes; a list
 * of all hashes is another thing. */
static bool takes_all_queues(enum jq_op op) {
    return op == JQ_OP_BACKUP_BEGIN || op == JQ_OP_BACKUP_READ || op == JQ_OP_BLOB_LS || op == JQ_OP_BLOB_GC ||
           op == JQ_OP_CACHE_PURGE;
}

static bool permit_edit(const struct jq_token *token, const struct jq_request *request, const char **ret_field) {
    const struct jq_submit_item *item = &request->u.edit.item;
    const bool queue = !(request->u.edit.given & JQ_EDIT_QUEUE) || jq_token_may_queue(token, item->queue);
    *ret_field = queue ? "handler" : "queue";
    return queue && (!(request->u.edit.given & JQ_EDIT_HANDLER) || jq_token_may_handler(token, item->handler));
}

static bool is_about_tasks(enum jq_op op) {
    return op == JQ_OP_TASK_CANCEL || op == JQ_OP_DEAD_REPLAY || op == JQ_OP_DEAD_RM || op == JQ_OP_TASK_HOLD ||
           op == JQ_OP_TASK_RELEASE || op == JQ_OP_TASK_MOVE || op == JQ_OP_TASK_RM;
}

/* What is done to tasks: which of them is the core's matter, as it knows their queues. */
static bool permit_tasks(const struct jq_token *token, const struct jq_request *request, const char **ret_field) {
    if (request->op == JQ_OP_TASK_MOVE && !jq_token_may_queue(token, request->u.tasks.to)) {
        *ret_field = "queue";
        return false;
    }
    *ret_field = "where";
    return request->u.tasks.where == NULL || jq_token_may_all_queues(token) || permit_where(token, request);
}

static bool permit_schedule_set(const struct jq_token *token, const struct jq_request *request,
                                const char **ret_field) {
    const struct jq_submit_item *task = &request->u.schedule.def.task;
    const bool named = permit_schedule(token, request->u.schedule.def.name);
    *ret_field = named ? "task" : "name";
    return named && jq_token_may_queue(token, task->queue) && jq_token_may_handler(token, task->handler);
}

static bool permit_by_token(const struct jq_token *token, struct jq_request *request, const char **ret_field) {
    *ret_field = "op";
    if (is_about_tasks(request->op))
        return permit_tasks(token, request, ret_field);
    if (takes_all_queues(request->op))
        return jq_token_may_all_queues(token);
    if (names_schedule(request->op)) {
        *ret_field = "name";
        return permit_schedule(token, request->u.named.name);
    }
    switch (request->op) {
    case JQ_OP_SUBMIT:
    case JQ_OP_FLOW_ADD: permit_submit(token, request); return true;
    case JQ_OP_REGISTER: *ret_field = "handlers"; return permit_register(token, request);
    case JQ_OP_SCHEDULE_SET: return permit_schedule_set(token, request, ret_field);
    case JQ_OP_DEAD_EDIT: return permit_edit(token, request, ret_field);
    case JQ_OP_QUEUE_SET: *ret_field = "name"; return jq_token_may_queue(token, request->u.queue_set.name);
    case JQ_OP_LIMIT_SET:
    case JQ_OP_LIMIT_RM: *ret_field = "scope"; return permit_limit(token, request->u.limit.scope);
    default: return true;
    }
}

enum jq_reply jq_auth_permit(const struct jq_principal *principal, const struct jq_op_info *op,
                             struct jq_request *request, const char **ret_field, const char **ret_reason) {
    const struct jq_token *token = principal->token;
    if (!jq_role_allows(principal->role, op->role)) {
        *ret_field = "op";
        *ret_reason = "the role does not allow it";
        return JQ_REPLY_FORBIDDEN;
    }
    if (token == NULL)
        return JQ_REPLY_OK;
    request->reach = (struct jq_reach){.limited = !jq_token_may_all_queues(token),
                                       .globs = (const char *const *)token->queues.items,
                                       .count = token->queues.count};
    *ret_reason = "the token does not allow it";
    return permit_by_token(token, request, ret_field) ? JQ_REPLY_OK : JQ_REPLY_FORBIDDEN;
}
