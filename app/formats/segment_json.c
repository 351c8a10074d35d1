/* See segment_json.h. */
#include "app/formats/segment_json.h"

#include <jansson.h>

#include "app/json_util.h"

json_t *segment_json_tokens(const int32_t *ids, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static json_t *words_of(const qasr_segment *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->n_words; i++) {
        const qasr_word *word = qasr_segment_word(p, i);
        json_t *o = json_object();
        json_object_set_new(o, "text", json_text(word->text));
        json_object_set_new(o, "confidence", json_number((double)word->confidence, 4));
        json_array_append_new(list, o);
    }
    return list;
}

/* Confidence of tokens and words. */
static void add_scores(json_t *o, const qasr_segment *p)
{
    json_t *log_probabilities = json_array(), *entropies = json_array();
    for (size_t i = 0; i < p->n_tokens; i++) {
        const qasr_token_score *score = qasr_segment_token_score(p, i);
        json_array_append_new(log_probabilities, json_number((double)score->log_probability, 4));
        json_array_append_new(entropies, json_number((double)score->entropy, 4));
    }
    json_object_set_new(o, "avg_log_probability", p->n_tokens ? json_number(p->avg_log_probability, 4) : json_null());
    json_object_set_new(o, "token_log_probabilities", log_probabilities);
    json_object_set_new(o, "token_entropies", entropies);
    json_object_set_new(o, "words", words_of(p));
}

void segment_json_add(json_t *o, const qasr_segment *p)
{
    json_object_set_new(o, "start", json_number(p->start_s, 3));
    json_object_set_new(o, "end", json_number(p->end_s, 3));
    json_object_set_new(o, "speech_start", json_number(p->speech_start_s, 3));
    json_object_set_new(o, "speech_end", json_number(p->speech_end_s, 3));
    json_object_set_new(o, "status", json_text(qasr_segment_status_name(p->status)));
    if (p->context_echoed)
        json_object_set_new(o, "context_echoed", json_true());
    if (p->kv_widened)
        json_object_set_new(o, "kv_widened", json_true());
    json_object_set_new(o, "no_speech", json_boolean(p->no_speech));
    if (p->omitted_s > 0)
        json_object_set_new(o, "omitted", json_number(p->omitted_s, 3));
    json_object_set_new(o, "text", json_text(p->text));
    json_object_set_new(o, "language", json_text(p->language));
    json_object_set_new(o, "tokens", segment_json_tokens(p->tokens, p->n_tokens));
    json_object_set_new(o, "n_prompt_tokens", json_integer((json_int_t)p->n_prompt_tokens));
    json_object_set_new(o, "n_audio_tokens", json_integer((json_int_t)p->n_audio_tokens));
    json_object_set_new(o, "stop_reason", json_text(qasr_stop_reason_name(p->stop)));
    if (p->has_token_scores)
        add_scores(o, p);
}

void segment_json_add_damage(json_t *o, const qasr_result *result)
{
    if (!qasr_result_audio_damaged(result))
        return;
    json_t *list = json_array();
    const char *what;
    double from_s, to_s;
    for (size_t i = 0; (what = qasr_result_damage(result, i, &from_s, &to_s)); i++) {
        json_t *place = json_object();
        json_object_set_new(place, "start", json_number(from_s, 3));
        json_object_set_new(place, "end", json_number(to_s, 3));
        json_object_set_new(place, "what", json_text(what));
        json_array_append_new(list, place);
    }
    json_object_set_new(o, "audio_damaged", json_true());
    json_object_set_new(o, "damage", list);
}
