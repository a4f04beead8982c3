/* link_lease.c - the session: registering, asking for tasks, and the list of leases held. */
#include <poll.h>
#include <stdlib.h>

#include "common/hash.h"
#include "common/libjq/link_internal.h"
#include "common/text.h"

enum { LEAVE_LOOK_MS = 100 };

/* ---- leases held ---- */

static void sums_change(struct jq_link *link, uint64_t token, bool add) {
    pthread_mutex_lock(&link->lock);
    link->held_count += add ? 1u : UINT32_MAX;
    link->held_sum += add ? jq_hash_u64(token) : 0 - jq_hash_u64(token);
    pthread_mutex_unlock(&link->lock);
}

static bool leases_grow(struct jq_link *link) {
    const uint32_t capacity = link->lease_capacity ? link->lease_capacity * 2 : 64;
    struct link_lease *leases = realloc(link->leases, capacity * sizeof(*leases));
    if (!leases) {
        return false;
    }
    link->leases = leases;
    link->lease_capacity = capacity;
    link->lease_used = link->lease_used ? link->lease_used : 1; /* index 0 is none */
    return true;
}

void link_held_add(struct jq_link *link, jq_task_id task, jq_lease_token token) {
    uint32_t at = link->lease_free;
    if (at != 0) {
        link->lease_free = link->leases[at].next;
    } else {
        if (link->lease_used == link->lease_capacity) {
            JQ_CHECK(leases_grow(link));
        }
        at = link->lease_used++;
    }
    link->leases[at] = (struct link_lease){.task = task.value, .token = token.value, .prev = link->newest};
    if (link->newest) {
        link->leases[link->newest].next = at;
    }
    link->newest = at;
    JQ_CHECK(jq_map_put(&link->held_by_token, token.value, at));
    sums_change(link, token.value, true);
}

void link_held_drop(struct jq_link *link, uint64_t token) {
    const uint32_t at = jq_map_get(&link->held_by_token, token, 0);
    if (at == 0) {
        return;
    }
    struct link_lease *lease = &link->leases[at];
    if (lease->prev) {
        link->leases[lease->prev].next = lease->next;
    }
    if (lease->next) {
        link->leases[lease->next].prev = lease->prev;
    } else {
        link->newest = lease->prev;
    }
    (void)jq_map_remove(&link->held_by_token, token);
    *lease = (struct link_lease){.next = link->lease_free};
    link->lease_free = at;
    sums_change(link, token, false);
}

/* ---- registering ---- */

static void pack_handler(struct jq_pack *pack, const struct jq_link_handler *handler) {
    const size_t hole = jq_pack_map_begin(pack);
    size_t count = 1;
    jq_pack_field_str(pack, &jq_message_handler, JQ_AT_HANDLER_NAME, jq_str_of(handler->name));
    if (handler->version) {
        jq_pack_field_str(pack, &jq_message_handler, JQ_AT_HANDLER_VERSION, jq_str_of(handler->version));
        count++;
    }
    if (handler->need && handler->need[0]) {
        jq_pack_field_str(pack, &jq_message_handler, JQ_AT_HANDLER_NEED, jq_str_of(handler->need));
        count++;
    }
    if (handler->soft_limit_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_handler, JQ_AT_HANDLER_SOFT_LIMIT, handler->soft_limit_ms);
        count++;
    }
    if (handler->hard_limit_ms > 0) {
        jq_pack_field_ms(pack, &jq_message_handler, JQ_AT_HANDLER_HARD_LIMIT, handler->hard_limit_ms);
        count++;
    }
    if (handler->pure) {
        jq_pack_field_bool(pack, &jq_message_handler, JQ_AT_HANDLER_PURE, true);
        count++;
    }
    jq_pack_end(pack, hole, count);
}

static void pack_placement(struct jq_pack *pack, const struct jq_link *link) {
    jq_pack_key(pack, &jq_message_register, JQ_AT_REGISTER_OFFERS);
    const bool slots = link->config.slots > 0 && !jq_offers_find(&link->offers, JQ_STR("slots"));
    jq_pack_map(pack, link->offers.count + slots);
    for (size_t i = 0; i < link->offers.count; i++) {
        jq_pack_str(pack, link->offers.items[i].name);
        jq_pack_uint(pack, link->offers.items[i].amount);
    }
    if (slots) {
        jq_pack_str(pack, JQ_STR("slots"));
        jq_pack_uint(pack, link->config.slots * JQ_AMOUNT_UNIT);
    }
    jq_pack_key(pack, &jq_message_register, JQ_AT_REGISTER_FACTS);
    jq_pack_map(pack, link->facts.count);
    for (size_t i = 0; i < link->facts.count; i++) {
        jq_pack_str(pack, link->facts.items[i].name);
        jq_pack_str(pack, link->facts.items[i].text);
    }
}

static size_t indexed_count(const struct jq_offers *offers) {
    size_t count = 0;
    for (size_t i = 0; i < offers->count; i++) {
        count += offers->items[i].index_count > 0;
    }
    return count;
}

static void pack_units(struct jq_pack *pack, const struct jq_offers *offers) {
    if (indexed_count(offers) == 0) {
        return;
    }
    jq_pack_key(pack, &jq_message_register, JQ_AT_REGISTER_UNITS);
    jq_pack_map(pack, indexed_count(offers));
    for (size_t i = 0; i < offers->count; i++) {
        const struct jq_offer *offer = &offers->items[i];
        if (offer->index_count == 0) {
            continue;
        }
        jq_pack_str(pack, offer->name);
        jq_pack_array(pack, offer->index_count);
        for (size_t k = 0; k < offer->index_count; k++) {
            jq_pack_uint(pack, offer->indexes[k]);
        }
    }
}

static bool accept_word(const char **at, struct jq_str *ret_word) {
    *at += strspn(*at, " \t,");
    *ret_word = (struct jq_str){*at, strcspn(*at, " \t,")};
    *at += ret_word->size;
    return ret_word->size > 0;
}

static size_t accept_count(const char *accept) {
    struct jq_str word;
    size_t count = 0;
    for (const char *at = accept; at && accept_word(&at, &word);) {
        count++;
    }
    return count;
}

static void pack_accept(struct jq_pack *pack, const char *accept) {
    struct jq_str word;
    if (accept_count(accept) == 0) {
        return;
    }
    jq_pack_key(pack, &jq_message_register, JQ_AT_REGISTER_ACCEPT);
    jq_pack_array(pack, accept_count(accept));
    for (const char *at = accept; accept_word(&at, &word);) {
        jq_pack_str(pack, word);
    }
}

static void register_begin(struct jq_link *link) {
    struct jq_pack pack;
    const bool doorbell = link->config.doorbell && link->config.doorbell[0];
    const size_t fields = 6 + (indexed_count(&link->offers) > 0 ? 1U : 0U) +
                          (accept_count(link->config.accept) > 0 ? 1U : 0U) + (doorbell ? 1U : 0U);
    if (jq_flight_begin(link->client, &link->registration, "register", fields, 0, &pack, NULL) != JQ_OK) {
        link->register_again_ms = jq_flight_now_ms() + LINK_REGISTER_PAUSE_MS;
        return;
    }
    jq_pack_field_uuid(&pack, &jq_message_register, JQ_AT_REGISTER_ID, &link->config.id);
    jq_pack_field_str(&pack, &jq_message_register, JQ_AT_REGISTER_NAME, jq_str_of(link->name));
    jq_pack_field_uint(&pack, &jq_message_register, JQ_AT_REGISTER_INCARNATION, link->incarnation);
    pack_placement(&pack, link);
    jq_pack_key(&pack, &jq_message_register, JQ_AT_REGISTER_HANDLERS);
    jq_pack_array(&pack, link->config.handler_count);
    for (size_t i = 0; i < link->config.handler_count; i++) {
        pack_handler(&pack, &link->config.handlers[i]);
    }
    pack_units(&pack, &link->offers);
    pack_accept(&pack, link->config.accept);
    if (doorbell) {
        jq_pack_field_str(&pack, &jq_message_register, JQ_AT_REGISTER_DOORBELL, jq_str_of(link->config.doorbell));
    }
    link->registration.on_landed = link_wake;
    link->registration.ctx = link;
    link->registering = true;
    jq_flight_send(&link->registration);
}

static void state_tell(struct jq_link *link, bool registered, const struct jq_error *error) {
    if (link->config.on_state) {
        link->config.on_state(link->config.ctx, registered, error);
    }
}

static void session_set(struct jq_link *link, struct jq_uuid session, bool registered) {
    pthread_mutex_lock(&link->lock);
    link->session = session;
    link->registered = registered;
    link->surveyed = false;
    pthread_mutex_unlock(&link->lock);
}

void link_session_lost(struct jq_link *link) {
    session_set(link, link->session, false);
}

/* Answered: a session, or a refusal. A refusal that time may heal is tried again; any other is for good. */
static void register_take(struct jq_link *link) {
    const struct jq_reply_view *view = &link->registration.view;
    struct jq_error error;
    const enum jq_err err = jq_refusal(view, &error);
    if (err == JQ_OK) {
        session_set(link, jq_view_uuid(view->body, "session"), true);
    }
    jq_flight_end(&link->registration);
    link->registering = false;
    if (err == JQ_OK) {
        state_tell(link, true, NULL);
    } else if (err == JQ_ERR_BUSY || err == JQ_ERR_UNAVAILABLE || err == JQ_ERR_CONFLICT) {
        link->register_again_ms = jq_flight_now_ms() + LINK_REGISTER_PAUSE_MS;
    } else {
        link->refused = true;
        state_tell(link, false, &error);
    }
}

int64_t link_register_step(struct jq_link *link) {
    if (link->registered || link->refused || link->sleeping) {
        return INT64_MAX;
    }
    if (!link->registering) {
        if (jq_flight_now_ms() < link->register_again_ms) {
            return link->register_again_ms;
        }
        register_begin(link);
        if (!link->registering) {
            return link->register_again_ms;
        }
    }
    int64_t wake_ms = INT64_MAX;
    const enum jq_err err = jq_flight_poll(&link->registration, INT64_MAX / 2, &wake_ms, NULL);
    if (err == JQ_ERR_BUSY) {
        return wake_ms;
    }
    if (err == JQ_OK) {
        register_take(link);
    } else {
        jq_flight_end(&link->registration);
        link->registering = false;
        link->register_again_ms = jq_flight_now_ms() + LINK_REGISTER_PAUSE_MS;
    }
    return jq_flight_now_ms();
}

/* ---- the poll ---- */

/* The newest of them, ascending: all, or exactly JQ_HELD_COUNT_MAX. */
static void pack_held(struct jq_pack *pack, const struct jq_link *link) {
    uint32_t at = link->newest, count = 0;
    while (at != 0 && count + 1 < JQ_HELD_COUNT_MAX && link->leases[at].prev != 0) {
        at = link->leases[at].prev;
        count++;
    }
    jq_pack_key(pack, &jq_message_lease, JQ_AT_LEASE_HELD);
    jq_pack_array(pack, at ? count + 1 : 0);
    for (; at != 0; at = link->leases[at].next) {
        jq_pack_array(pack, 2);
        jq_pack_uint(pack, link->leases[at].task);
        jq_pack_uint(pack, link->leases[at].token);
    }
}

static void poll_send(struct jq_link *link, struct poll *poll) {
    struct jq_pack pack;
    const bool held = link->held_wanted, sleeps = link->sleeping;
    const size_t fields = 3 + (held ? 1U : 0U) + (sleeps ? 1U : 0U);
    if (jq_flight_begin(link->client, &poll->flight, "lease", fields, 0, &pack, NULL) != JQ_OK) {
        return;
    }
    jq_pack_field_uuid(&pack, &jq_message_lease, JQ_AT_LEASE_SESSION, &link->session);
    jq_pack_field_uint(&pack, &jq_message_lease, JQ_AT_LEASE_WANT, link->want);
    jq_pack_field_ms(&pack, &jq_message_lease, JQ_AT_LEASE_WAIT, LINK_WAIT_MS);
    if (held) {
        link->held_wanted = false;
        pack_held(&pack, link);
    }
    if (sleeps) {
        jq_pack_field_bool(&pack, &jq_message_lease, JQ_AT_LEASE_SLEEP, true);
    }
    poll->sleeps = sleeps;
    poll->flight.try_timeout_ms = LINK_POLL_TIMEOUT_MS;
    poll->flight.on_landed = link_wake;
    poll->flight.ctx = link;
    poll->used = true;
    poll->want = link->want;
    poll->replaced_ms = 0;
    jq_flight_send(&poll->flight);
}

static void take_reserved(struct jq_view reserved, struct jq_link_task *task) {
    for (size_t i = 0; i < jq_view_count(reserved); i++) {
        const struct jq_str name = jq_view_key_at(reserved, i);
        const uint64_t amount = jq_view_to_uint(jq_view_value_at(reserved, i), 0);
        if (jq_str_equal(name, JQ_STR("mem"))) {
            task->memory_bytes = amount / JQ_AMOUNT_UNIT;
        } else if (jq_str_equal(name, JQ_STR("cpu"))) {
            task->cpu_thousandths = amount;
        }
    }
}

/* {"gpu": [0, 1]} as offers are written. False: none. */
static bool take_units(struct jq_view map, struct jq_offers *ret_units) {
    uint16_t indexes[JQ_OFFERS_COUNT_MAX][JQ_OFFER_INDEXES_MAX];
    struct jq_offer items[JQ_OFFERS_COUNT_MAX];
    size_t count = 0;
    for (; count < jq_view_count(map) && count < JQ_OFFERS_COUNT_MAX; count++) {
        const struct jq_view list = jq_view_value_at(map, count);
        items[count] = (struct jq_offer){.name = jq_view_key_at(map, count), .indexes = indexes[count]};
        for (size_t i = 0; i < jq_view_count(list) && i < JQ_OFFER_INDEXES_MAX; i++) {
            indexes[count][i] = (uint16_t)jq_view_to_uint(jq_view_at(list, i), 0);
            items[count].index_count++;
        }
        items[count].amount = items[count].index_count * JQ_AMOUNT_UNIT;
    }
    return count > 0 && jq_offers_build(items, count, ret_units, NULL) == JQ_OK;
}

/* The ids of a list. NULL: none, or more than may be. */
static jq_task_id *take_after(struct jq_view list, size_t *ret_count) {
    const size_t count = jq_view_count(list);
    if (count == 0 || count > JQ_AFTER_COUNT_MAX) {
        return NULL;
    }
    jq_task_id *ids = malloc(count * sizeof(*ids));
    JQ_CHECK(ids != NULL);
    for (size_t i = 0; i < count; i++) {
        ids[i] = (jq_task_id){jq_view_to_uint(jq_view_at(list, i), 0)};
    }
    *ret_count = count;
    return ids;
}

struct files {
    struct jq_link_input inputs[JQ_FILES_COUNT_MAX];
    struct jq_str outputs[JQ_FILES_COUNT_MAX];
};

/* Names that are none stay out: they become names of files. */
static bool is_file_name(struct jq_str name) {
    return jq_name_valid(name) && name.data[0] != '.';
}

static void take_files(struct jq_view inputs, struct jq_view outputs, struct files *files, struct jq_link_task *task) {
    for (size_t i = 0; i < jq_view_count(inputs) && i < JQ_FILES_COUNT_MAX; i++) {
        struct jq_link_input *input = &files->inputs[task->input_count];
        input->name = jq_view_key_at(inputs, i);
        const struct jq_str hash = jq_view_to_str(jq_view_value_at(inputs, i));
        task->input_count += is_file_name(input->name) &&
                             jq_text_parse_hex(hash, input->blob.hash, sizeof(input->blob.hash), NULL) == JQ_OK;
    }
    for (size_t i = 0; i < jq_view_count(outputs) && i < JQ_FILES_COUNT_MAX; i++) {
        files->outputs[task->output_count] = jq_view_to_str(jq_view_at(outputs, i));
        task->output_count += is_file_name(files->outputs[task->output_count]);
    }
    task->inputs = files->inputs;
    task->outputs = files->outputs;
}

static void take_task(struct jq_link *link, struct jq_view item, struct jq_buf *headers) {
    struct jq_link_task task = {.id = {jq_view_to_uint(jq_view_at(item, JQ_AT_LEASED_TASK), 0)},
                                .token = {jq_view_to_uint(jq_view_at(item, JQ_AT_LEASED_TOKEN), 0)},
                                .attempt = (unsigned)jq_view_to_uint(jq_view_at(item, JQ_AT_LEASED_ATTEMPT), 0),
                                .queue = jq_view_to_str(jq_view_at(item, JQ_AT_LEASED_QUEUE)),
                                .handler = jq_view_to_str(jq_view_at(item, JQ_AT_LEASED_HANDLER)),
                                .soft_limit_ms = (int64_t)jq_view_to_uint(jq_view_at(item, JQ_AT_LEASED_SOFT_LIMIT), 0),
                                .hard_limit_ms = (int64_t)jq_view_to_uint(jq_view_at(item, JQ_AT_LEASED_HARD_LIMIT), 0),
                                .payload = jq_view_to_bin(jq_view_at(item, JQ_AT_LEASED_PAYLOAD))};
    if (task.id.value == 0 || jq_map_get(&link->held_by_token, task.token.value, 0) != 0) {
        return; /* an answer that came twice */
    }
    take_reserved(jq_view_at(item, JQ_AT_LEASED_RESERVED), &task);
    const struct jq_view map = jq_view_at(item, JQ_AT_LEASED_HEADERS);
    jq_buf_clear(headers);
    if (jq_view_count(map) > 0) {
        struct jq_pack pack = jq_pack_of(headers);
        msgpack_pack_object(&pack.packer, *map.object);
        task.headers = jq_buf_bytes(headers);
    }
    struct jq_offers units = {0};
    task.units = take_units(jq_view_at(item, JQ_AT_LEASED_UNITS), &units) ? &units : NULL;
    struct files files;
    take_files(jq_view_at(item, JQ_AT_LEASED_INPUTS), jq_view_at(item, JQ_AT_LEASED_OUTPUTS), &files, &task);
    jq_task_id *after = take_after(jq_view_at(item, JQ_AT_LEASED_AFTER), &task.after_count);
    task.after = after;
    link_held_add(link, task.id, task.token);
    link->config.on_task(link->config.ctx, &task);
    free(after);
    jq_offers_fini(&units);
}

static void take_command(struct jq_link *link, struct jq_view item) {
    const uint64_t type = jq_view_to_uint(jq_view_at(item, JQ_AT_COMMAND_TYPE), 0);
    const jq_task_id task = {jq_view_to_uint(jq_view_at(item, JQ_AT_COMMAND_TASK), 0)};
    const jq_lease_token token = {jq_view_to_uint(jq_view_at(item, JQ_AT_COMMAND_TOKEN), 0)};
    if (type == 4) {
        link->held_wanted = true;
    } else if (type >= JQ_LINK_CANCEL && type <= JQ_LINK_DRAIN) {
        link->config.on_command(link->config.ctx, (enum jq_link_command)type, task, token,
                                (uint32_t)jq_view_to_uint(jq_view_at(item, JQ_AT_COMMAND_GRACE), 0));
    }
}

static void poll_take(struct jq_link *link, const struct jq_reply_view *view) {
    if (view->status == JQ_REPLY_NOT_FOUND) {
        link_session_lost(link);
        return;
    }
    struct jq_buf headers;
    jq_buf_init(&headers, 2 * JQ_HEADERS_SIZE_MAX);
    const struct jq_view tasks = jq_view_get(view->body, "tasks"), commands = jq_view_get(view->body, "commands");
    for (size_t i = 0; i < jq_view_count(tasks); i++) {
        take_task(link, jq_view_at(tasks, i), &headers);
    }
    for (size_t i = 0; i < jq_view_count(commands); i++) {
        take_command(link, jq_view_at(commands, i));
    }
    jq_buf_fini(&headers);
}

/* A broker that stops answers polls at once: asked again without a pause it would be asked without an end. */
static int64_t pause_after(const struct jq_reply_view *view) {
    return view->status == JQ_REPLY_OK || view->status == JQ_REPLY_NOT_FOUND ? 0 : 200;
}

static int64_t poll_step(struct jq_link *link, struct poll *poll) {
    int64_t wake_ms = INT64_MAX;
    const enum jq_err err = jq_flight_poll(&poll->flight, INT64_MAX / 2, &wake_ms, NULL);
    if (err == JQ_ERR_BUSY) {
        if (poll->replaced_ms > 0 && jq_flight_now_ms() - poll->replaced_ms > LINK_OLD_POLL_MS) {
            jq_flight_end(&poll->flight);
            poll->used = false;
        }
        return poll->replaced_ms > 0 ? link_least(wake_ms, poll->replaced_ms + LINK_OLD_POLL_MS + 1) : wake_ms;
    }
    int64_t pause_ms = LINK_REGISTER_PAUSE_MS;
    if (err == JQ_OK && poll->sleeps) {
        link->asleep = true; /* whatever it says: the session has ended */
    } else if (err == JQ_OK) {
        poll_take(link, &poll->flight.view);
        pause_ms = pause_after(&poll->flight.view);
    }
    jq_flight_end(&poll->flight);
    poll->used = false;
    if (pause_ms > 0) {
        link->poll_again_ms = jq_flight_now_ms() + pause_ms;
    }
    return jq_flight_now_ms();
}

int64_t link_polls_step(struct jq_link *link) {
    int64_t wake_ms = INT64_MAX;
    for (int i = 0; i < 2; i++) {
        if (link->polls[i].used) {
            wake_ms = link_least(wake_ms, poll_step(link, &link->polls[i]));
        }
    }
    struct poll *current = NULL, *place = NULL;
    for (int i = 0; i < 2; i++) {
        if (link->polls[i].used && link->polls[i].replaced_ms == 0) {
            current = &link->polls[i];
        } else if (!link->polls[i].used) {
            place = &link->polls[i];
        }
    }
    const int64_t now_ms = jq_flight_now_ms();
    if (!link->registered || !place || link->asleep || (current && (current->want == link->want || link->sleeping))) {
        return wake_ms;
    }
    if (!current && now_ms < link->poll_again_ms) {
        return link_least(wake_ms, link->poll_again_ms);
    }
    if (current) {
        current->replaced_ms = now_ms; /* its answer, should one be on its way, still counts */
    }
    poll_send(link, place);
    return link_least(wake_ms, now_ms + LINK_OLD_POLL_MS);
}

/* Polls that are parked are the broker's to drop; what it may have given on them meanwhile it takes back. */
static void leave_begin(struct jq_link *link) {
    for (int i = 0; i < 2; i++) {
        if (link->polls[i].used) {
            jq_flight_end(&link->polls[i].flight);
            link->polls[i].used = false;
        }
    }
    link->sleeping = true;
    link->asleep = !link->registered;
    link->want = 0;
    link->poll_again_ms = 0;
}

bool jq_link_leave(struct jq_link *link, int64_t wait_ms) {
    const int64_t until_ms = jq_flight_now_ms() + wait_ms;
    leave_begin(link);
    (void)jq_link_step(link);
    while (!link->asleep && jq_flight_now_ms() < until_ms) {
        struct pollfd fd = {.fd = jq_link_fd(link), .events = POLLIN};
        (void)poll(&fd, 1, LEAVE_LOOK_MS);
        (void)jq_link_step(link);
    }
    return link->asleep;
}

void jq_link_want(struct jq_link *link, unsigned want) {
    if (want != link->want) {
        link->want = want;
        link_wake(link);
    }
}
