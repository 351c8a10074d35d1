/* See call.h. */
#include "engine/call.h"

static qasr_status find_language(const language **out, const char *name, qasr_error *err)
{
    *out = name ? lang_find(name) : NULL;
    if (!name || *out)
        return QASR_OK;
    const language *near = lang_nearest(name);
    if (near)
        return error_set(err, QASR_E_INVALID, "unknown language '%s'; did you mean %s (%s)?", name, near->name,
                         near->code);
    return error_set(err, QASR_E_INVALID,
                     "unknown language '%s'; expected an English name or code such as English, en, Chinese, zh", name);
}

qasr_status call_init(call *c, qasr_session *s, const qasr_transcribe_options *opt, qasr_error *err)
{
    if (s->busy)
        return error_set(err, QASR_E_INVALID,
                         "the session is busy with a qasr_teacher_forcing_open: call qasr_teacher_forcing_close first");
    *c = (call){ .s = s,
                 .opt = opt,
                 .dump = opt->dump_tensors,
                 .asr_text_id = tokenizer_added_id(s->model->tokenizer, "<asr_text>") };
    return find_language(&c->language, opt->language, err);
}
