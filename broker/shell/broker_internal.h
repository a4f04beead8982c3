/* broker_internal.h - the parts of a broker, shared by broker.c and broker_http.c. */
#ifndef JQ_BROKER_SHELL_BROKER_INTERNAL_H
#define JQ_BROKER_SHELL_BROKER_INTERNAL_H

#include <stdatomic.h>

#include "broker/shell/answers.h"
#include "broker/shell/auth.h"
#include "broker/shell/backup.h"
#include "broker/shell/blobs.h"
#include "broker/shell/broker.h"
#include "broker/shell/engine.h"
#include "broker/shell/http.h"
#include "broker/shell/keeper.h"
#include "broker/shell/mover.h"
#include "broker/shell/net.h"
#include "broker/shell/outputs.h"
#include "broker/shell/remover.h"
#include "broker/shell/restore.h"
#include "broker/shell/ringer.h"
#include "broker/shell/survey.h"
#include "broker/shell/zones.h"

enum jq_broker_state { JQ_BROKER_STARTING, JQ_BROKER_SERVING, JQ_BROKER_DRAINING };

struct jq_broker {
    const struct jq_broker_settings *settings;
    int64_t begin_ns;
    _Atomic(enum jq_broker_state) state;
    struct jq_metrics metrics;
    struct jq_tokens tokens;
    struct jq_authority authority;
    struct jq_zones *zones;
    struct jq_core *core;
    struct jq_restored restored;
    struct jq_answers *answers;
    struct jq_engine *engine;
    struct jq_keeper *keeper;
    struct jq_mover *mover;
    struct jq_ringer *ringer;
    struct jq_remover *remover;
    struct jq_backup *backup;
    struct jq_blobs *blobs;
    struct jq_outputs *outputs;
    struct jq_net *net;
    _Atomic(struct jq_survey_shell *) surveys; /* NULL until it listens: the core may ask earlier */
    struct jq_http *http;
};

/* OK, or the exit code after saying why. Without an address there is no server. */
enum jq_exit jq_broker_open_http(struct jq_broker *broker);

/* The exit code for an error that kept the broker from starting. */
enum jq_exit jq_broker_exit_of(const struct jq_error *error, enum jq_exit otherwise);

#endif
