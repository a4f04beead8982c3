/* service.h - the broker as a process: signals, limits, and what the service manager is told (sd_notify(3)).
 *
 * Without a service manager the notices go nowhere and everything else is the same.
 */
#ifndef JQ_BROKER_SHELL_SERVICE_H
#define JQ_BROKER_SHELL_SERVICE_H

#include <stdint.h>

/* Exit codes of sysexits.h, as the documentation of the broker names them. */
enum jq_exit {
    JQ_EXIT_OK = 0,
    JQ_EXIT_USAGE = 64,     /* command line */
    JQ_EXIT_DATA = 65,      /* the journal is damaged, foreign, or of a newer version */
    JQ_EXIT_SOFTWARE = 70,  /* out of memory, threads */
    JQ_EXIT_CANTCREAT = 73, /* the data folder cannot be made */
    JQ_EXIT_IO = 74,        /* reading, writing or syncing failed */
    JQ_EXIT_TEMPFAIL = 75,  /* the data folder or an address is in use: it may work later */
    JQ_EXIT_CONFIG = 78     /* configuration */
};

/* Before any other thread: SIGPIPE is ignored; SIGTERM, SIGINT and SIGHUP are held for jq_service_wait(); as many file
 * descriptors as the system allows; an allocator that keeps little. */
void jq_service_prepare(void);

enum jq_service_signal { JQ_SERVICE_TIMEOUT, JQ_SERVICE_STOP, JQ_SERVICE_HANGUP };

/* The next signal, or TIMEOUT. */
enum jq_service_signal jq_service_wait(int64_t timeout_ms);

void jq_service_notify_ready(const char *status);
void jq_service_notify_status(const char *status);
void jq_service_notify_stopping(const char *status);
void jq_service_notify_alive(void);

/* How often the service manager wants to hear jq_service_notify_alive(), halved to be on time; 0: never. */
int64_t jq_service_watchdog_ms(void);

#endif
