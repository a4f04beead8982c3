/* link.c - making, stepping and freeing a link. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/entropy.h"
#include "common/libjq/link_internal.h"

enum { STALL_DEFAULT_MS = 30000, STEP_MAX_MS = 10000 };

void link_wake(void *ctx) {
    const struct jq_link *link = ctx;
    const uint64_t one = 1;
    (void)!write(link->wake_fd, &one, sizeof(one)); /* full means: awake already */
}

void jq_link_wake(struct jq_link *link) {
    link_wake(link);
}

static enum jq_err take_placement(struct jq_link *link, struct jq_error *reterr) {
    const char *offers = link->config.offers ? link->config.offers : "";
    const char *facts = link->config.facts ? link->config.facts : "";
    const enum jq_err err = jq_offers_parse(jq_str_of(offers), &link->offers, reterr);
    return err == JQ_OK ? jq_facts_parse(jq_str_of(facts), &link->facts, reterr) : err;
}

static enum jq_err take_name(struct jq_link *link, struct jq_error *reterr) {
    const struct jq_str name = jq_str_of(link->config.name);
    if (!jq_name_valid(name)) {
        return jq_fail(reterr, JQ_ERR_INVALID, "worker name '%.*s': not [a-z0-9_.-]{1,64}", JQ_STR_ARG(name));
    }
    memcpy(link->name, name.data, name.size);
    return JQ_OK;
}

static enum jq_err set_up(struct jq_link *link, struct jq_error *reterr) {
    enum jq_err err = take_name(link, reterr);
    if (err == JQ_OK) {
        err = take_placement(link, reterr);
    }
    if (err == JQ_OK) {
        err = jq_random_bytes(&link->incarnation, sizeof(link->incarnation), reterr);
    }
    if (err == JQ_OK) {
        link->incarnation |= 1; /* not 0 */
        link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        err = link->wake_fd < 0 ? jq_fail(reterr, JQ_ERR_IO, "eventfd") : JQ_OK;
    }
    if (err == JQ_OK) {
        err = jq_connect(&link->config.connect, &link->client, reterr);
    }
    return err == JQ_OK ? link_survey_open(link, reterr) : err;
}

enum jq_err jq_link_new(const struct jq_link_config *config, struct jq_link **ret_link, struct jq_error *reterr) {
    struct jq_link *link = calloc(1, sizeof(*link));
    if (!link) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "link");
    }
    link->config = *config;
    link->config.stall_ms = config->stall_ms > 0 ? config->stall_ms : STALL_DEFAULT_MS;
    link->wake_fd = -1;
    link->want = 1;
    link->stepped_ms = jq_flight_now_ms();
    pthread_mutex_init(&link->lock, NULL);
    jq_map_init(&link->held_by_token);
    const enum jq_err err = set_up(link, reterr);
    if (err != JQ_OK) {
        jq_link_free(link);
        return err;
    }
    *ret_link = link;
    return JQ_OK;
}

bool jq_link_session(struct jq_link *link, struct jq_uuid *ret_session) {
    *ret_session = link->session;
    return link->registered;
}

struct jq_client *jq_link_client(struct jq_link *link) {
    return link->client;
}

void jq_link_free(struct jq_link *link) {
    if (!link) {
        return;
    }
    if (link->respondent) {
        jq_survey_respondent_stop(link->respondent);
    }
    if (link->registering) {
        jq_flight_end(&link->registration);
    }
    for (int i = 0; i < 2; i++) {
        if (link->polls[i].used) {
            jq_flight_end(&link->polls[i].flight);
        }
    }
    link_reports_free(link);
    jq_disconnect(link->client);
    jq_map_fini(&link->held_by_token);
    jq_offers_fini(&link->offers);
    jq_facts_fini(&link->facts);
    free(link->leases);
    if (link->wake_fd >= 0) {
        close(link->wake_fd);
    }
    pthread_mutex_destroy(&link->lock);
    free(link);
}

/* The session as it is gives way to one with this offer; so do polls that are parked in it. */
enum jq_err jq_link_offer_anew(struct jq_link *link, const struct jq_link_offer *offer, struct jq_error *reterr) {
    struct jq_offers offers;
    struct jq_facts facts;
    enum jq_err err = jq_offers_parse(jq_str_of(offer->offers), &offers, reterr);
    if (err != JQ_OK) {
        return err;
    }
    err = jq_facts_parse(jq_str_of(offer->facts), &facts, reterr);
    if (err != JQ_OK) {
        jq_offers_fini(&offers);
        return err;
    }
    jq_offers_fini(&link->offers);
    jq_facts_fini(&link->facts);
    link->offers = offers;
    link->facts = facts;
    link->config.accept = offer->accept;
    link->config.handlers = offer->handlers;
    link->config.handler_count = offer->handler_count;
    if (link->registering) {
        jq_flight_end(&link->registration);
        link->registering = false;
    }
    for (int i = 0; i < 2; i++) {
        if (link->polls[i].used && link->polls[i].replaced_ms == 0) {
            link->polls[i].replaced_ms = jq_flight_now_ms();
        }
    }
    link_session_lost(link);
    link_wake(link);
    return JQ_OK;
}

int jq_link_fd(const struct jq_link *link) {
    return link->wake_fd;
}

int64_t jq_link_step(struct jq_link *link) {
    uint64_t wakes;
    (void)!read(link->wake_fd, &wakes, sizeof(wakes));
    const int64_t now_ms = jq_flight_now_ms();
    pthread_mutex_lock(&link->lock);
    link->stepped_ms = now_ms;
    pthread_mutex_unlock(&link->lock);
    int64_t wake_ms = now_ms + STEP_MAX_MS;
    wake_ms = link_least(wake_ms, link_register_step(link));
    wake_ms = link_least(wake_ms, link_polls_step(link));
    return link_least(wake_ms, link_reports_step(link));
}

void jq_link_load(struct jq_link *link, unsigned load_permille, unsigned memory_permille) {
    pthread_mutex_lock(&link->lock);
    link->load_permille = load_permille;
    link->memory_permille = memory_permille;
    pthread_mutex_unlock(&link->lock);
}

size_t jq_link_held_count(struct jq_link *link) {
    return jq_map_count(&link->held_by_token);
}

bool jq_link_settled(struct jq_link *link) {
    for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
        if (link->frames[i].used) {
            return false;
        }
    }
    return true;
}
