/* See fault.h. Keys and values are float32 in this run, because other types drop what is not finite or add to it. */
#include "engine/fault.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static bool is_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* Prefills the prompt followed by ids. */
static qasr_status run_decoder(qasr_session *s, const prompt *p, const int32_t *ids, size_t n_ids, dmat embeds)
{
    size_t slot, n = p->ids.n + n_ids;
    int32_t *all;
    TRY(MEM_ALLOC(&all, n, NULL));
    memcpy(all, p->ids.ids, p->ids.n * sizeof *all);
    if (n_ids)
        memcpy(all + p->ids.n, ids, n_ids * sizeof *all);
    qasr_status status = decoder_open_slot(s->decoder, &slot, n, true, NULL);
    if (status == QASR_OK) {
        status = decoder_prefill(s->decoder, slot, all, n, p->audio_begin, embeds, NULL);
        decoder_close_slot(s->decoder, slot);
    }
    mem_free(all);
    return status;
}

static qasr_status run_again(const job_options *o, const segment_job *j, const int32_t *ids, size_t n_ids, net_fault *f)
{
    qasr_session *s = o->session;
    float *features = NULL;
    size_t n_frames;
    dmat embeds;
    prompt p = { 0 };
    qasr_status status;
    TRY_GOTO(segment_features(o, j, &features, &n_frames, NULL));
    if (!is_finite(features, MEL_BINS * n_frames)) {
        f->place = NET_FEATURES;
        goto done;
    }
    TRY_GOTO(encoder_run(s->encoder, &embeds, features, n_frames, o->opt.encoder_attention == QASR_ENCODER_FULL, NULL));
    TRY_GOTO(segment_prompt(o, j, embeds.rows, &p, NULL));
    status = run_decoder(s, &p, ids, n_ids, embeds);
done:
    prompt_free(&p);
    mem_free(features);
    return status;
}

void fault_explain(const job_options *o, const segment_job *j, const int32_t *ids, size_t n_ids, qasr_error *err)
{
    qasr_session *s = o->session;
    net_fault f = { .place = NET_NOWHERE };
    char place[64];
    if (!j->seq.not_finite)
        return;
    s->context.fault = &f;
    run_again(o, j, ids, n_ids, &f);
    s->context.fault = NULL;
    if (f.place == NET_FEATURES)
        error_write(err, QASR_E_DEVICE, "%s are not finite", net_fault_place(place, sizeof place, &f));
    else if (f.place != NET_NOWHERE)
        error_write(err, QASR_E_DEVICE, "%s gives values that are not finite: damaged weights in '%s'?",
                    net_fault_place(place, sizeof place, &f), net_fault_file(s->net, &f));
}
