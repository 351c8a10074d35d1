/* The sizes of the published speech recognition models, for calculations without their files. */
#ifndef QASR_MODEL_PUBLISHED_H
#define QASR_MODEL_PUBLISHED_H

#include "model/config.h"

/* Names of the models, from the smallest: "0.6b", "1.7b"; NULL after the last. */
const char *published_name(size_t index);
/* The sizes in *c, and that the head is tied; the other fields stay 0. False if no published model has this name. */
bool published_config(model_config *c, const char *name);

#endif
