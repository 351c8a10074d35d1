/* The public entry points: check arguments, read option structs over their defaults, call one internal function. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "base/options.h"
#include "device/cpu/limits.h"
#include "device/ggml/ggml_device.h"
#include "device/registry.h"
#include "engine/confidence.h"
#include "engine/engine.h"
#include "engine/teacher_forcing.h"
#include "kernels/kernels.h"

#define REQUIRE_FOR(function, condition, what)                                                                         \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return error_set(err, QASR_E_INVALID, "%s: %s", function, what);                                           \
    } while (0)
#define REQUIRE(condition, what) REQUIRE_FOR(__func__, condition, what)

const char *qasr_version(void) { return QASR_VERSION_STRING; }
const char *qasr_cpu_level(void) { return cpu_level_name(kernels_get(cpu_detect())->level); }

const char *qasr_status_name(qasr_status status)
{
    static const char *const names[] = { [QASR_OK] = "ok",
                                         [QASR_E_NOMEM] = "nomem",
                                         [QASR_E_IO] = "io",
                                         [QASR_E_FORMAT] = "format",
                                         [QASR_E_UNSUPPORTED] = "unsupported",
                                         [QASR_E_INVALID] = "invalid",
                                         [QASR_E_DEVICE] = "device",
                                         [QASR_E_CANCELLED] = "cancelled" };
    return (size_t)status < ARRAY_LEN(names) ? names[status] : "unknown";
}

const char *qasr_cpu_level_name(size_t index)
{
    return index < CPU_LEVEL_COUNT ? cpu_level_name((cpu_level)index) : NULL;
}

/* ---- audio ---- */

qasr_status qasr_audio_load(float **pcm, size_t *n_samples, const char *path, qasr_error *err)
{
    REQUIRE(pcm && n_samples && path, "pcm, n_samples and path must not be NULL");
    return audio_load(pcm, n_samples, path, &(qasr_audio_options)QASR_AUDIO_OPTIONS_INIT, err);
}

const char *qasr_audio_extension(size_t index) { return audio_extension(index); }

qasr_status qasr_audio_check(const qasr_audio_options *opt, qasr_error *err)
{
    qasr_audio_options own;
    return audio_read_options(&own, opt, err);
}

qasr_status qasr_audio_load_part(float **pcm, size_t *n_samples, const char *path, const qasr_audio_options *opt,
                                 qasr_error *err)
{
    qasr_audio_options own;
    REQUIRE(pcm && n_samples && path, "pcm, n_samples and path must not be NULL");
    TRY(audio_read_options(&own, opt, err));
    return audio_load(pcm, n_samples, path, &own, err);
}

qasr_status qasr_audio_probe(qasr_audio_info *out, const char *path, const qasr_audio_options *opt, qasr_error *err)
{
    qasr_audio_options own;
    REQUIRE(out && path, "out and path must not be NULL");
    REQUIRE(out->struct_size >= sizeof out->struct_size, "start out from QASR_AUDIO_INFO_INIT");
    TRY(audio_read_options(&own, opt, err));
    qasr_audio_info info = { out->struct_size };
    TRY(audio_probe(&info, path, &own, err));
    options_write(out, out->struct_size, &info, sizeof info);
    return QASR_OK;
}

void qasr_audio_free(float *pcm) { mem_free(pcm); }

/* ---- model ---- */

qasr_status qasr_model_open(qasr_model **out, const char *path, const qasr_model_options *opt, qasr_error *err)
{
    qasr_model_options own = QASR_MODEL_OPTIONS_INIT;
    REQUIRE(out && path, "out and path must not be NULL");
    TRY(options_read(&own, sizeof own, opt, "QASR_MODEL_OPTIONS_INIT", err));
    REQUIRE(own.decoder_weights >= QASR_DECODER_AUTO && own.decoder_weights <= QASR_DECODER_GGUF,
            "decoder_weights is out of range");
    return engine_model_open(out, path, &own, err);
}

void qasr_model_close(qasr_model *m) { engine_model_close(m); }
double qasr_model_segment_seconds(const qasr_model *m) { return model_segment_seconds(m->checkpoint); }
const char *qasr_model_decoder_path(const qasr_model *m) { return model_decoder_path(m->checkpoint); }
const char *qasr_model_decoder_type(const qasr_model *m) { return model_decoder_type(m->checkpoint); }

size_t qasr_language_count(void) { return lang_count(); }
const char *qasr_language_name(size_t index) { return index < lang_count() ? lang_at(index)->name : NULL; }
const char *qasr_language_code(size_t index) { return index < lang_count() ? lang_at(index)->code : NULL; }
const char *qasr_language_find(const char *text)
{
    const language *found = text ? lang_find(text) : NULL;
    return found ? found->name : NULL;
}

/* ---- session ---- */

const char *qasr_kv_type_name(size_t index)
{
    return index < DECODER_KV_TYPES ? quant_get(decoder_kv_types[index])->name : NULL;
}

qasr_status qasr_session_open(qasr_session **out, qasr_model *m, const qasr_session_options *opt, qasr_error *err)
{
    qasr_session_options own = QASR_SESSION_OPTIONS_INIT;
    REQUIRE(out && m, "out and model must not be NULL");
    TRY(options_read(&own, sizeof own, opt, "QASR_SESSION_OPTIONS_INIT", err));
    REQUIRE(own.n_threads >= 0 && own.n_threads <= 1024, "n_threads must be from 0 to 1024");
    REQUIRE(own.precision == QASR_PRECISION_AUTO || own.precision == QASR_PRECISION_F32, "precision is out of range");
    REQUIRE(own.batch >= 0 && own.batch <= DECODER_MAX_SLOTS, "batch must be from 0 to 64");
    return engine_session_open(out, m, &own, err);
}

void qasr_session_close(qasr_session *session) { engine_session_close(session); }
int qasr_session_threads(const qasr_session *session) { return (int)pool_threads(device_pool(session->device)); }

const char *qasr_session_device(const qasr_session *session) { return session->device->name; }
uint64_t qasr_session_device_bytes(const qasr_session *session) { return engine_session_device_bytes(session); }

/* ---- devices ---- */

static void name_types(char *out, size_t size, const bool reads[QUANT_TYPE_COUNT])
{
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        size_t n = strlen(out);
        if (reads[t])
            snprintf(out + n, size - n, "%s%s", n ? " " : "", quant_get((quant_type)t)->name);
    }
}

qasr_status qasr_device_get(qasr_device_info *out, size_t index, qasr_error *err)
{
    REQUIRE(out && out->struct_size >= sizeof out->struct_size, "start out from QASR_DEVICE_INFO_INIT");
    device_info found;
    if (!device_list(&found, index))
        return error_set(err, QASR_E_INVALID, "device %zu does not exist", index);
    qasr_device_info own = { .struct_size = out->struct_size,
                             .free_bytes = found.free_bytes,
                             .total_bytes = found.total_bytes,
                             .flash_attention = found.flash_attention,
                             .maps_files = found.maps_files };
    memcpy(own.name, found.name, sizeof own.name);
    memcpy(own.description, found.description, sizeof own.description);
    memcpy(own.backend, found.backend, sizeof own.backend);
    snprintf(own.kind, sizeof own.kind, "%s", found.kind);
    name_types(own.types, sizeof own.types, found.reads);
    options_write(out, out->struct_size, &own, sizeof own);
    return QASR_OK;
}

const char *qasr_ggml_version(void) { return ggml_device_version(); }

static qasr_status read_transcribe_options(qasr_transcribe_options *own, const qasr_transcribe_options *opt,
                                           const char *caller, qasr_error *err)
{
    TRY(options_read(own, sizeof *own, opt, "QASR_TRANSCRIBE_OPTIONS_INIT", err));
    REQUIRE_FOR(caller, own->max_new_tokens >= 0, "max_new_tokens must not be negative");
    REQUIRE_FOR(caller, own->max_segment_s >= 0 && isfinite(own->max_segment_s),
                "max_segment_s must be 0 or a positive number");
    REQUIRE_FOR(caller, own->encoder_attention == QASR_ENCODER_WINDOWS || own->encoder_attention == QASR_ENCODER_FULL,
                "encoder_attention is out of range");
    return QASR_OK;
}

qasr_status qasr_transcribe(qasr_result **out, qasr_session *session, const float *pcm, size_t n_samples,
                            const qasr_transcribe_options *opt, qasr_error *err)
{
    qasr_transcribe_options own = QASR_TRANSCRIBE_OPTIONS_INIT;
    REQUIRE(out && session && (pcm || n_samples == 0), "out, session and pcm must not be NULL");
    TRY(read_transcribe_options(&own, opt, __func__, err));
    return engine_transcribe(out, session, pcm, n_samples, &own, err);
}

qasr_status qasr_transcribe_many(qasr_session *session, const qasr_transcribe_options *opt, qasr_next_clip_fn next,
                                 qasr_clip_done_fn done, void *user, qasr_error *err)
{
    qasr_transcribe_options own = QASR_TRANSCRIBE_OPTIONS_INIT;
    REQUIRE(session && next && done, "session, next and done must not be NULL");
    TRY(read_transcribe_options(&own, opt, __func__, err));
    return engine_transcribe_many(session, &own, next, done, user, err);
}

/* ---- measuring ---- */

qasr_status qasr_measure_limits(qasr_limits *out, int n_threads, qasr_error *err)
{
    REQUIRE(out, "out must not be NULL");
    REQUIRE(n_threads >= 0 && n_threads <= 1024, "n_threads must be from 0 to 1024");
    REQUIRE(out->struct_size >= sizeof out->struct_size, "start out from QASR_LIMITS_INIT");
    device_limits found;
    TRY(limits_measure(&found, (unsigned)n_threads, err));
    qasr_limits own = { .struct_size = out->struct_size,
                        .n_threads = (int)found.n_threads,
                        .read_gb_s = found.read_gb_s,
                        .f32_gop_s = found.f32_gop_s,
                        .bf16_gop_s = found.bf16_gop_s,
                        .int8_gop_s = found.int8_gop_s };
    options_write(out, out->struct_size, &own, sizeof own);
    return QASR_OK;
}

qasr_status qasr_session_cost(const qasr_session *session, size_t n_samples, size_t n_tokens, qasr_cost *out,
                              qasr_error *err)
{
    REQUIRE(session && out, "session and out must not be NULL");
    REQUIRE(out->struct_size >= sizeof out->struct_size, "start out from QASR_COST_INIT");
    REQUIRE(n_samples > 0 && n_samples <= (size_t)1 << 40, "n_samples must be from 1 to 2^40");
    REQUIRE(n_tokens <= (size_t)1 << 40, "n_tokens must be at most 2^40");
    qasr_cost own = { out->struct_size };
    TRY(engine_session_cost(session, n_samples, n_tokens, &own, err));
    options_write(out, out->struct_size, &own, sizeof own);
    return QASR_OK;
}

/* ---- quality ---- */

qasr_status qasr_score_text(qasr_score *out, const char *reference, const char *text, qasr_error *err)
{
    REQUIRE(out && reference && text, "out, reference and text must not be NULL");
    REQUIRE(out->struct_size >= sizeof out->struct_size, "start out from QASR_SCORE_INIT");
    qasr_score own = { out->struct_size };
    TRY(score_text(&own, reference, text, err));
    options_write(out, out->struct_size, &own, sizeof own);
    return QASR_OK;
}

qasr_status qasr_teacher_forcing_open(qasr_teacher_forcing **out, qasr_session *session, const float *pcm,
                                      size_t n_samples, const qasr_transcribe_options *opt, qasr_error *err)
{
    qasr_transcribe_options own = QASR_TRANSCRIBE_OPTIONS_INIT;
    REQUIRE(out && session && pcm && n_samples > 0, "out, session and pcm must not be NULL, n_samples must not be 0");
    TRY(read_transcribe_options(&own, opt, __func__, err));
    return teacher_forcing_open(out, session, pcm, n_samples, &own, err);
}

const float *qasr_teacher_forcing_logits(const qasr_teacher_forcing *forcing)
{
    return teacher_forcing_logits(forcing);
}
size_t qasr_teacher_forcing_vocabulary(const qasr_teacher_forcing *forcing)
{
    return teacher_forcing_vocabulary(forcing);
}
qasr_status qasr_teacher_forcing_token(qasr_teacher_forcing *forcing, int32_t token, qasr_error *err)
{
    return teacher_forcing_token(forcing, token, err);
}
void qasr_teacher_forcing_close(qasr_teacher_forcing *forcing) { teacher_forcing_close(forcing); }

/* ---- result ---- */

void qasr_result_free(qasr_result *result) { engine_result_free(result); }
const char *qasr_result_text(const qasr_result *result) { return result->text; }
const char *qasr_result_language(const qasr_result *result) { return result->language; }
size_t qasr_result_segment_count(const qasr_result *result) { return result->n_segments; }
int qasr_result_audio_damaged(const qasr_result *result) { return result->n_damages > 0; }

const char *qasr_result_damage(const qasr_result *result, size_t index, double *from_s, double *to_s)
{
    if (index >= result->n_damages)
        return NULL;
    const audio_damage *d = &result->damages[index];
    *from_s = d->from_s;
    *to_s = d->to_s;
    return d->what;
}

const qasr_timings *qasr_result_timings(const qasr_result *result) { return &result->timings; }

const qasr_segment *qasr_result_segment(const qasr_result *result, size_t index)
{
    return index < result->n_segments ? &result->segments[index] : NULL;
}

const qasr_word *qasr_segment_word(const qasr_segment *segment, size_t index)
{
    return index < segment->n_words ? &segment->detail->words[index] : NULL;
}

const qasr_token_score *qasr_segment_token_score(const qasr_segment *segment, size_t index)
{
    return segment->has_token_scores && index < segment->n_tokens ? &segment->detail->token_scores[index] : NULL;
}

qasr_stop_reason qasr_result_stop_reason(const qasr_result *result)
{
    if (result->n_segments == 0)
        return QASR_STOP_EMPTY;
    for (size_t i = 0; i < result->n_segments; i++)
        if (result->segments[i].stop != QASR_STOP_EOS && result->segments[i].status != QASR_SEGMENT_SILENT)
            return result->segments[i].stop;
    return QASR_STOP_EOS;
}

const char *qasr_segment_status_name(qasr_segment_status status)
{
    static const char *const names[] = { "ok",           "retried",       "silent",
                                         "suspect_loop", "suspect_limit", "suspect_empty",
                                         "suspect_rate" };
    return status >= QASR_SEGMENT_OK && status <= QASR_SEGMENT_SUSPECT_RATE ? names[status] : "unknown";
}

const char *qasr_stop_reason_name(qasr_stop_reason reason)
{
    static const char *const names[] = { "eos", "limit", "loop", "empty" };
    return reason >= QASR_STOP_EOS && reason <= QASR_STOP_EMPTY ? names[reason] : "unknown";
}
