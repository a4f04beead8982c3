/* survey.h - one question to all, and their answers: NNG SURVEYOR and RESPONDENT sockets.
 *
 * The server surveys whoever is connected; the id that it chooses comes back with every response. It uses the raw form of NNG's
 * socket, because the cooked one keeps 128 responses and drops the rest, and can deadlock when surveys follow one another. So
 * there is no end of a survey here: which responses still count is for the caller to say, by their id.
 *
 * A respondent gets each survey as a *turn*, to be answered or skipped once, by any thread, soon: it has few of them, and with all
 * of them open it hears no survey.
 *
 * Threads:   any function from any thread. on_response runs on an NNG thread, one at a time; on_survey on several at a time.
 *            They must not block.
 * Lifetime:  servers and respondents live as long as the process, for the reason given in server.h; _stop is the end.
 */
#ifndef JQ_COMMON_TRANSPORT_SURVEY_H
#define JQ_COMMON_TRANSPORT_SURVEY_H

#include "common/err.h"
#include "common/transport/frame.h"
#include "common/types.h"

enum {
    JQ_SURVEY_TURN_COUNT = 4,
    JQ_SURVEY_ID_MAX = 0x7fffffff,
};

struct jq_survey_server;     /* Opaque: jq_survey_server_open() .. end of the process. */
struct jq_survey_respondent; /* Opaque: jq_survey_respondent_open() .. end of the process. */
struct jq_survey_turn;       /* Opaque: a survey that waits for its response. */

struct jq_survey_server_config {
    const char *const *urls; /* 1 to 8; see address.h */
    size_t url_count;
    size_t frame_size_max; /* bytes, in both directions; 0: JQ_FRAME_SIZE_MAX. Who sends more loses the connection */
    size_t peers_max;      /* connections; 0: no limit. Beyond: closed at once */
    unsigned ipc_mode;     /* of ipc sockets in the file system; 0: 0600 */
    void *ctx;
    /* `response` is borrowed for the time of the call. `survey_id` is what the respondent claims: any number. Required. */
    void (*on_response)(void *ctx, uint32_t survey_id, struct jq_bytes response, uint32_t pipe_id);
};

/* Errors as in jq_server_open(). */
enum jq_err jq_survey_server_open(const struct jq_survey_server_config *config, struct jq_survey_server **ret_server,
                                  struct jq_error *reterr);
/* Closes all connections, takes no new one, and removes ipc sockets from the file system. When it returns, no callback runs any
 * more. Not inside on_response. Idempotent. */
void jq_survey_server_stop(struct jq_survey_server *server);
/* The URL `index` as it can be dialled, or NULL: no such index. */
const char *jq_survey_server_url(const struct jq_survey_server *server, size_t index);
/* Connections. */
size_t jq_survey_server_peer_count(struct jq_survey_server *server);

/* Asks everybody who is connected now. `survey_id` is at most JQ_SURVEY_ID_MAX. Never waits. JQ_ERR_TOO_BIG, JQ_ERR_NOMEM;
 * JQ_ERR_BUSY: 16 surveys are waiting to be sent. */
enum jq_err jq_survey_send(struct jq_survey_server *server, uint32_t survey_id, struct jq_bytes survey);

struct jq_survey_respondent_config {
    const char *const *urls; /* 1 to 8, all of them dialled, again and again */
    size_t url_count;
    size_t frame_size_max; /* as the server's */
    int reconnect_min_ms;  /* 0: 10 */
    int reconnect_max_ms;  /* 0: 1000 */
    int silence_max_ms;    /* dials anew after so long without a survey, see below; 0: 8000; < 0: never */
    void *ctx;
    /* `survey` is borrowed until the turn ends. Required. */
    void (*on_survey)(void *ctx, struct jq_survey_turn *turn, struct jq_bytes survey);
};

/* Starts to dial. JQ_ERR_ADDRESS names the URL and what is wrong with it. A pulled cable is noticed by nobody: so silence is
 * taken for a lost connection. Well above the interval of the surveys it costs nothing. */
enum jq_err jq_survey_respondent_open(const struct jq_survey_respondent_config *config,
                                      struct jq_survey_respondent **ret_respondent, struct jq_error *reterr);
/* Closes the connection; no survey comes any more. Turns that are open still have to be ended. Idempotent. */
void jq_survey_respondent_stop(struct jq_survey_respondent *respondent);

/* Ends a turn with a response. JQ_OK also when the surveyor is gone. JQ_ERR_TOO_BIG, JQ_ERR_NOMEM: the turn is still open. */
enum jq_err jq_survey_answer(struct jq_survey_turn *turn, struct jq_bytes response);
enum jq_err jq_survey_answer_take(struct jq_survey_turn *turn, struct jq_frame *response);
/* Ends a turn without a response. */
void jq_survey_skip(struct jq_survey_turn *turn);

#endif
