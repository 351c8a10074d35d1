/* Transcripts as JSON: one object for one file, an array of objects for several. */
#include "app/formats/formats.h"
#include "app/metrics.h"

#include <jansson.h>

#include "app/formats/segment_json.h"
#include "app/json_util.h"
#include "qasr/qasr_tools.h"

static void add_segments(json_t *o, const qasr_result *r)
{
    json_t *segments = json_array(), *tokens = json_array();
    for (size_t i = 0; i < qasr_result_segment_count(r); i++) {
        const qasr_segment *p = qasr_result_segment(r, i);
        json_t *ids = segment_json_tokens(p->tokens, p->n_tokens);
        json_array_extend(tokens, ids);
        json_decref(ids);
        json_t *segment = json_object();
        segment_json_add(segment, p);
        json_array_append_new(segments, segment);
    }
    json_object_set_new(o, "tokens", tokens);
    json_object_set_new(o, "segments", segments);
}

static json_t *timings_object(const qasr_timings *t, double load_s)
{
    json_t *o = json_object();
    json_object_set_new(o, "load_s", json_number(load_s, 6));
    json_object_set_new(o, "mel_s", json_number(t->mel_s, 6));
    json_object_set_new(o, "encode_s", json_number(t->encode_s, 6));
    json_object_set_new(o, "prefill_s", json_number(t->prefill_s, 6));
    json_object_set_new(o, "decode_s", json_number(t->decode_s, 6));
    json_object_set_new(o, "decode_ms_per_token", json_number(metrics_ms_per_token(t), 4));
    json_object_set_new(o, "total_s", json_number(t->total_s, 6));
    json_object_set_new(o, "real_time_factor", json_number(metrics_real_time_factor(t), 6));
    return o;
}

static void add_result(json_t *o, const format_item *it)
{
    const qasr_result *r = it->result;
    const qasr_timings *t = qasr_result_timings(r);
    json_object_set_new(o, "text", json_text(qasr_result_text(r)));
    json_object_set_new(o, "language", json_text(qasr_result_language(r)));
    if (it->detected)
        json_object_set_new(o, "detected_language", json_text(it->detected));
    json_object_set_new(o, "duration", json_number(t->audio_s, 4));
    json_object_set_new(o, "stop_reason", json_text(qasr_stop_reason_name(qasr_result_stop_reason(r))));
    segment_json_add_damage(o, r);
    json_object_set_new(o, "model", json_text(it->model_path));
    json_t *decoder = json_object();
    json_object_set_new(decoder, "file", json_text(qasr_model_decoder_path(it->model)));
    json_object_set_new(decoder, "type", json_text(qasr_model_decoder_type(it->model)));
    json_object_set_new(o, "decoder", decoder);
    json_object_set_new(o, "device", json_text(qasr_session_device(it->session)));
    json_object_set_new(o, "device_mb", json_number((double)qasr_session_device_bytes(it->session) / (1 << 20), 1));
    json_object_set_new(o, "threads", json_integer(qasr_session_threads(it->session)));
    json_object_set_new(o, "cpu_level", json_text(qasr_cpu_level()));
    add_segments(o, r);
    json_object_set_new(o, "timings", timings_object(t, it->load_s));
    json_object_set_new(o, "peak_rss_mb", json_number(metrics_peak_rss_mb(), 1));
}

static void begin(FILE *f, size_t n_files)
{
    if (n_files > 1)
        fputs("[\n", f);
}

static bool item(FILE *f, const format_item *it)
{
    if (!it->result && it->n_files == 1)
        return true;
    json_t *o = json_object();
    if (it->index > 0)
        fputs(",\n", f);
    json_object_set_new(o, "file", json_text(it->file));
    if (it->channel)
        json_object_set_new(o, "channel", json_integer(it->channel));
    if (it->result)
        add_result(o, it);
    else
        json_object_set_new(o, "error", json_text(it->error));
    json_print(o, f);
    json_decref(o);
    if (it->n_files == 1)
        fputc('\n', f);
    return true;
}

static void end(FILE *f, size_t n_files)
{
    if (n_files > 1)
        fputs("\n]\n", f);
}

const format_writer format_json = { "json", true, false, begin, NULL, item, end };
