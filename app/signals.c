/* See signals.h. */
#include "app/signals.h"

#include <signal.h>
#include <stddef.h>

const int signals_ending[SIGNALS_N_ENDING] = { SIGINT, SIGTERM, SIGHUP };

void signals_catch(void (*handler)(int), int flags)
{
    const struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
    struct sigaction old;
    for (int i = 0; i < SIGNALS_N_ENDING; i++)
        if (sigaction(signals_ending[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals_ending[i], &action, NULL);
}

void signals_keep_children(void) { signal(SIGCHLD, SIG_DFL); }
