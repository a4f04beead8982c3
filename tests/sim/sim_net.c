/* sim_net.c - messages: lost, doubled, delayed, and so out of order. */
#include <stdlib.h>

#include "common/err.h"
#include "tests/sim/sim.h"

static int64_t delay(struct sim *sim) {
    const int64_t most_ms = sim->calm ? 5 : sim->swarm.delay_max_ms;
    return sim->now_ms + 1 + (int64_t)sim_below(sim, (uint64_t)most_ms);
}

/* How many copies arrive. */
static int copies(struct sim *sim) {
    if (sim_of(sim, sim->swarm.drop, 1000)) {
        return 0;
    }
    return sim_of(sim, sim->swarm.twice, 1000) ? 2 : 1;
}

void net_send_request(struct sim *sim, const struct sim_request *request) {
    for (int n = copies(sim); n > 0; n--) {
        struct sim_event *event = sim_add(sim, SIM_TO_BROKER, delay(sim));
        event->request = malloc(sizeof(*request));
        JQ_CHECK(event->request != NULL);
        *event->request = *request;
    }
}

void net_send_reply(struct sim *sim, uint32_t actor, struct kept *kept) {
    const int count = copies(sim);
    for (int n = 0; n < count; n++) {
        struct sim_event *event = sim_add(sim, SIM_TO_ACTOR, delay(sim));
        event->actor = actor;
        event->kept = n == 0 ? kept : kept_copy(&kept->effect);
    }
    if (count == 0) {
        kept_free(kept);
    }
}

void net_send_survey(struct sim *sim, uint64_t survey) {
    for (uint32_t i = 0; i < SIM_WORKERS; i++) {
        for (int n = copies(sim); n > 0; n--) {
            struct sim_event *event = sim_add(sim, SIM_SURVEY, delay(sim));
            event->actor = SIM_CLIENTS + i;
            event->number = survey;
        }
    }
}

void net_send_response(struct sim *sim, const struct jq_survey_response *response) {
    for (int n = copies(sim); n > 0; n--) {
        sim_add(sim, SIM_SURVEY_RESPONSE, delay(sim))->response = *response;
    }
}
