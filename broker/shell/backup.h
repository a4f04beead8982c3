/* backup.h - what the broker does for a backup of its journal while it serves: names a moment, and hands out its files up to there.
 *
 * backup.begin: the core thread ends the block under construction and says where that is and what digest the state has; the answer goes
 * when all of it is durable. backup.read: a piece of a file below that place, which no longer changes. Nothing is kept for one backup:
 * whoever copies asks for piece after piece, and no segment is deleted until JQ_BACKUP_HOLD_MS after the last question.
 *
 * Threads:   one of its own, which reads; ask() from any thread.
 */
#ifndef JQ_BROKER_SHELL_BACKUP_H
#define JQ_BROKER_SHELL_BACKUP_H

#include "broker/shell/engine.h"
#include "broker/shell/remover.h"
#include "common/transport/server.h"

enum { JQ_BACKUP_HOLD_MS = 30000 };

struct jq_backup; /* Opaque: jq_backup_start() .. end of the process. */

struct jq_backup_config {
    struct jq_journal *journal;
    const struct jq_disk *disk;
    const char *dir;
    struct jq_engine *engine;
    struct jq_remover *remover;
    struct jq_metrics *metrics;
};

enum jq_err jq_backup_start(const struct jq_backup_config *config, struct jq_backup **ret_backup,
                            struct jq_error *reterr);

/* True: the request is one of a backup, and the call is answered sooner or later. See jq_net_config.aside. */
bool jq_backup_ask(struct jq_backup *backup, struct jq_call *call, const struct jq_request *request);

#endif
