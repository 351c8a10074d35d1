/* Monotonic time. */
#ifndef QASR_BASE_CLOCK_H
#define QASR_BASE_CLOCK_H

double clock_now_s(void); /* monotonic, seconds */

#endif
