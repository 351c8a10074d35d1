/* Version of the library and its API. */
#ifndef QASR_VERSION_H
#define QASR_VERSION_H

#define QASR_VERSION_MAJOR 0
#define QASR_VERSION_MINOR 1
#define QASR_VERSION_PATCH 0
#define QASR_VERSION_STRING "0.1.0"

#endif
