/* The nets of a model, which its sessions share: one for each device and form of its weights. */
#ifndef QASR_MODEL_NET_LIST_H
#define QASR_MODEL_NET_LIST_H

#include "model/net.h"

typedef struct net_list net_list;

/* The model must outlive the list. Error: NOMEM. */
qasr_status net_list_create(net_list **out, const model *m, qasr_error *err);
void net_list_free(net_list *l); /* NULL is fine; all nets have been released */

/* The net that d can run, brought to d's device if it is not there yet: then *created. Threads that want one wait while
 * another brings a net. Errors as net_create. */
qasr_status net_list_acquire(net_list *l, net **out, device *d, bool *created, qasr_error *err);
/* The last one that releases a net frees it. The handle that it was acquired for must be closed by then. */
void net_list_release(net_list *l, net *n);

#endif
