/* See net_list.h. */
#include "model/net_list.h"

#include <pthread.h>

#include "base/mem.h"

typedef struct entry {
    net *net;
    size_t n_users;
    struct entry *next;
} entry;

struct net_list {
    const model *model;
    pthread_mutex_t lock; /* guards the entries */
    entry *first;
};

qasr_status net_list_create(net_list **out, const model *m, qasr_error *err)
{
    net_list *l;
    TRY(MEM_CALLOC(&l, 1, err));
    l->model = m;
    pthread_mutex_init(&l->lock, NULL);
    *out = l;
    return QASR_OK;
}

void net_list_free(net_list *l)
{
    if (!l)
        return;
    assert(!l->first);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static qasr_status add(net_list *l, entry **out, device *d, qasr_error *err)
{
    entry *e;
    TRY(MEM_CALLOC(&e, 1, err));
    qasr_status status = net_create(&e->net, l->model, d, err);
    if (status != QASR_OK) {
        mem_free(e);
        return status;
    }
    e->next = l->first;
    *out = l->first = e;
    return QASR_OK;
}

qasr_status net_list_acquire(net_list *l, net **out, device *d, bool *created, qasr_error *err)
{
    pthread_mutex_lock(&l->lock);
    entry *e = l->first;
    while (e && !device_weights_fit(e->net->weights, d))
        e = e->next;
    *created = !e;
    qasr_status status = e ? QASR_OK : add(l, &e, d, err);
    if (status == QASR_OK) {
        e->n_users++;
        *out = e->net;
    }
    pthread_mutex_unlock(&l->lock);
    return status;
}

void net_list_release(net_list *l, net *n)
{
    pthread_mutex_lock(&l->lock);
    entry **at = &l->first;
    while ((*at)->net != n)
        at = &(*at)->next;
    entry *e = *at;
    if (--e->n_users == 0) {
        *at = e->next;
        net_free(e->net);
        mem_free(e);
    }
    pthread_mutex_unlock(&l->lock);
}
