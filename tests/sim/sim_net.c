/* sim_net.c - messages: lost, doubled, delayed, and so out of order; links that are cut for a while, one way or both. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/err.h"
#include "tests/sim/sim.h"

enum { DELAY_MS = 20, CALM_DELAY_MS = 5, LONG_DELAY_MS = 3000, CUT_MS = 60000 };

static int64_t arrival(struct sim *sim, int64_t lag_ms) {
    const int64_t usual_ms = 1 + (int64_t)sim_below(sim, sim->calm ? CALM_DELAY_MS : DELAY_MS);
    return sim->now_ms + usual_ms + lag_ms +
           (sim_strikes(sim, SIM_DELAY) ? (int64_t)sim_detail(sim, LONG_DELAY_MS) : 0);
}

/* How many copies arrive. */
static int copies(struct sim *sim, bool cut) {
    if (cut || sim_strikes(sim, SIM_LOSS)) {
        return 0;
    }
    return sim_strikes(sim, SIM_TWICE) ? 2 : 1;
}

static bool cut_there(const struct sim *sim, uint32_t actor) {
    return sim->links[actor].cut_there && sim->now_ms < sim->links[actor].cut_until_ms;
}

static bool cut_back(const struct sim *sim, uint32_t actor) {
    return sim->links[actor].cut_back && sim->now_ms < sim->links[actor].cut_until_ms;
}

static int64_t lag_of(const struct sim *sim, uint32_t actor) {
    return sim->now_ms < sim->links[actor].slow_until_ms ? sim->links[actor].lag_ms : 0;
}

void net_cut(struct sim *sim) {
    const uint32_t actor = (uint32_t)sim_detail(sim, SIM_ACTORS);
    struct sim_link *link = &sim->links[actor];
    const uint64_t ways = 1 + sim_detail(sim, 3);
    link->cut_until_ms = sim->now_ms + 1 + (int64_t)sim_detail(sim, CUT_MS);
    link->cut_there = ways & 1;
    link->cut_back = ways & 2;
    if (actor >= SIM_CLIENTS) {
        sim->workers[actor - SIM_CLIENTS].faultless = false;
    }
    sim_say(sim, "the link of actor %u is cut%s%s until %" PRId64, actor, link->cut_there ? " there" : "",
            link->cut_back ? " back" : "", link->cut_until_ms);
}

void net_send_request(struct sim *sim, const struct sim_request *request) {
    for (int n = copies(sim, cut_there(sim, request->actor)); n > 0; n--) {
        struct sim_event *event = sim_add(sim, SIM_TO_BROKER, arrival(sim, lag_of(sim, request->actor)));
        event->request = malloc(sizeof(*request));
        JQ_CHECK(event->request != NULL);
        *event->request = *request;
    }
}

void net_send_reply(struct sim *sim, uint32_t actor, struct kept *kept) {
    const int count = copies(sim, cut_back(sim, actor));
    for (int n = 0; n < count; n++) {
        struct sim_event *event = sim_add(sim, SIM_TO_ACTOR, arrival(sim, 0));
        event->actor = actor;
        event->kept = n == 0 ? kept : kept_copy(&kept->effect);
    }
    if (count == 0) {
        kept_free(kept);
    }
}

void net_send_survey(struct sim *sim, uint64_t survey) {
    for (uint32_t i = SIM_CLIENTS; i < SIM_ACTORS; i++) {
        for (int n = copies(sim, cut_back(sim, i)); n > 0; n--) {
            struct sim_event *event = sim_add(sim, SIM_SURVEY, arrival(sim, 0));
            event->actor = i;
            event->number = survey;
        }
    }
}

void net_send_response(struct sim *sim, uint32_t actor, const struct jq_survey_response *response) {
    for (int n = copies(sim, cut_there(sim, actor)); n > 0; n--) {
        sim_add(sim, SIM_SURVEY_RESPONSE, arrival(sim, lag_of(sim, actor)))->response = *response;
    }
}
