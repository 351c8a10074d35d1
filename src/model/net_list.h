/* The nets of a model, shared by its sessions: one per device and form of the weights. */
#ifndef QASR_MODEL_NET_LIST_H
#define QASR_MODEL_NET_LIST_H

#include "model/net.h"

typedef struct net_list net_list;

/* The model must outlive the list. Error: NOMEM. */
qasr_status net_list_create(net_list **out, const model *m, qasr_error *err);
void net_list_free(net_list *l); /* NULL is fine; all nets must have been released */

/* Returns a net that d can run and creates it if there is none (*created). Threads wait while another creates a net.
 * Errors as net_create. */
qasr_status net_list_acquire(net_list *l, net **out, device *d, bool *created, qasr_error *err);
/* The last release frees the net. Close the device handle that it was acquired with first. */
void net_list_release(net_list *l, net *n);

#endif
