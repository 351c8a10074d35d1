/* See job_options.h. */
#include "engine/job_options.h"

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
                     "unknown language '%s'; expected a name or a code such as English, en, Chinese, zh-CN", name);
}

qasr_status job_options_init(job_options *o, qasr_session *session, const qasr_transcribe_options *opt, qasr_error *err)
{
    *o = (job_options){ .session = session,
                        .opt = *opt,
                        .asr_text_id = tokenizer_added_id(session->model->tokenizer, "<asr_text>") };
    return find_language(&o->language, opt->language, err);
}
