/* tie.c - looks after the connection to the broker, for people alone: what the worker does does not depend on it. */
#include "common/clock.h"
#include "common/libjq/flight.h"
#include "common/log.h"
#include "worker/shell/worker.h"

/* Why there is no connection, as connect() tells it. */
static void tell_apart(struct jq_conn *conn) {
    struct jq_error why = {.message = "no connection"};
    (void)jq_conn_wait(conn, 0, &why);
    JQ_LOG_WARN("the broker cannot be reached; trying again and again", JQ_F_STR("why", why.message));
}

void jq_tie_serve(struct jq_worker_shell *worker) {
    struct jq_conn *const conn = jq_link_client(worker->link)->conn;
    struct jq_uuid session;
    const bool registered = jq_link_session(worker->link, &session);
    switch (jq_tie_look(&worker->tie, jq_clock_boot_ms(), jq_conn_connected(conn), registered,
                        jq_link_surveyed(worker->link))) {
    case JQ_TIE_APART: tell_apart(conn); break;
    case JQ_TIE_TOGETHER: JQ_LOG_INFO("connected with the broker again"); break;
    case JQ_TIE_SILENT:
        JQ_LOG_WARN(
            "registered, but not surveyed since: the broker will take this worker for dead; is [worker] survey its "
            "listen_survey, and that port open?",
            JQ_F_STR("survey", worker->settings->survey_url));
        break;
    case JQ_TIE_NOTHING: break;
    }
}
