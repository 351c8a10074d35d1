/* Signals that end a program, for work that must stop cleanly. */
#ifndef QASR_APP_SIGNALS_H
#define QASR_APP_SIGNALS_H

enum { SIGNALS_N_ENDING = 3 };
extern const int signals_ending[SIGNALS_N_ENDING]; /* SIGINT, SIGTERM, SIGHUP */

/* Sets the handler of these signals, with flags as for sigaction. A signal that the program was started to ignore, as
 * by nohup or for a background job, stays ignored. */
void signals_catch(void (*handler)(int), int flags);
/* The exit statuses of children can be waited for, even if the program was started with SIGCHLD ignored, which would
 * discard them. */
void signals_keep_children(void);

#endif
