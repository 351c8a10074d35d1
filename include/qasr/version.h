/* Version of the library and its API. */
#ifndef QASR_VERSION_H
#define QASR_VERSION_H

#define QASR_VERSION_MAJOR 0
#define QASR_VERSION_MINOR 2
#define QASR_VERSION_PATCH 0
#define QASR_VERSION_STRING "0.2.0"

#endif
