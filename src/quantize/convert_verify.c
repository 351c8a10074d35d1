/* See convert_verify.h. */
#include "quantize/convert_verify.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "quantize/convert_chunks.h"

#define KEY "qasr.verify."

/* ---- whether ----------------------------------------------------------------------------------- */

static bool has_fewer_bits_than(const plan_entry *e, unsigned bits)
{
    const quant_info *q = quant_get(e->type);
    return 8 * q->bytes < bits * q->block;
}

static bool encoder_is_small(const convert_job *j)
{
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        if (!e->skipped && strcmp(plan_part(e), "encoder") == 0 && has_fewer_bits_than(e, 8))
            return true;
    }
    return false;
}

/* The file can be used as a model, or as part of one. */
static bool is_usable(const convert_job *j) { return j->is_bundle || strcmp(j->opt->scope, DECODER_SCOPE) == 0; }

static bool is_wanted(const convert_job *j)
{
    const qasr_quantize_options *opt = j->opt;
    if (opt->dry_run || opt->verify == QASR_VERIFY_OFF)
        return false;
    return opt->verify == QASR_VERIFY_ON || (is_usable(j) && (opt->auto_mix > 0 || encoder_is_small(j)));
}

static qasr_status open_original(convert_job *j, qasr_error *err)
{
    if (!is_usable(j))
        return error_set(err, QASR_E_INVALID,
                         "only a decoder or a complete model can be verified, not tensors of the scope '%s'",
                         j->opt->scope);
    TRY(input_model_open_whole(&j->input_model, err));
    if (!j->is_bundle && j->input_model.model->checkpoint->in_gguf)
        return error_set(err, QASR_E_INVALID,
                         "a decoder is verified with the encoder of a model directory, but '%s' is a GGUF model: write "
                         "a complete one (scope 'all')",
                         j->opt->input);
    return QASR_OK;
}

static int on_part(void *user, double part)
{
    convert_job *j = user;
    j->verified = part;
    convert_chunks_progress(j, 0);
    return atomic_load(&j->stop);
}

static qasr_status prepare(convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    if (opt->n_verify_audio == 0)
        return error_set(err, QASR_E_INVALID, "there is no audio to verify the file on: name some clips of speech");
    TRY(open_original(j, err));
    const verify_options verify = { .original = j->input_model.model,
                                    .audio = opt->verify_audio,
                                    .n_audio = opt->n_verify_audio,
                                    .n_threads = opt->n_threads,
                                    .on_part = on_part,
                                    .user = j };
    return verifier_create(&j->verifier, &verify, err);
}

qasr_status convert_verify_prepare(convert_job *j, qasr_error *err)
{
    qasr_error reason;
    if (!is_wanted(j))
        return QASR_OK;
    if (j->opt->verify == QASR_VERIFY_ON)
        return prepare(j, err);
    qasr_status status = prepare(j, &reason);
    if (status == QASR_E_NOMEM)
        return error_set(err, status, "%s", reason.message);
    if (status != QASR_OK)
        log_warning("the new file will not be verified: %s", reason.message);
    return QASR_OK;
}

/* ---- metadata ---------------------------------------------------------------------------------- */

typedef enum verify_key { PASSED, SEGMENTS, SECONDS, KL, CHANGED, LOST, COSINE, COSINE_LOWEST, N_KEYS } verify_key;

static const struct {
    const char *key;
    wmeta_type type;
    bool of_encoder; /* only if the file has one */
} keys[N_KEYS] = {
    [PASSED] = { KEY "passed", WMETA_BOOL, false },
    [SEGMENTS] = { KEY "segments", WMETA_U32, false },
    [SECONDS] = { KEY "seconds", WMETA_F32, false },
    [KL] = { KEY "kl", WMETA_F32, false },
    [CHANGED] = { KEY "changed_texts", WMETA_U32, false },
    [LOST] = { KEY "lost_texts", WMETA_U32, false },
    [COSINE] = { KEY "encoder_cosine", WMETA_F32, true },
    [COSINE_LOWEST] = { KEY "encoder_cosine_lowest", WMETA_F32, true },
};

qasr_status convert_verify_add_keys(convert_job *j, qasr_error *err)
{
    if (!j->verifier)
        return QASR_OK;
    for (size_t i = 0; i < N_KEYS; i++) {
        if (keys[i].of_encoder && !j->is_bundle)
            continue;
        TRY(keys[i].type == WMETA_BOOL  ? gguf_writer_meta_bool(j->out, keys[i].key, false, err)
            : keys[i].type == WMETA_U32 ? gguf_writer_meta_u32(j->out, keys[i].key, 0, err)
                                        : gguf_writer_meta_f32(j->out, keys[i].key, 0, err));
    }
    return QASR_OK;
}

/* Keeps n significant digits: float32 sums differ in the last bits between CPU levels, and files should not. */
static double rounded(double x, int n)
{
    if (!(x > 0))
        return x;
    const double unit = pow(10, floor(log10(x)) - (n - 1));
    return round(x / unit) * unit;
}

static qasr_status replace_keys(convert_job *j, const qasr_verification *v, qasr_error *err)
{
    const double values[N_KEYS] = {
        [PASSED] = v->passed,
        [SEGMENTS] = (double)v->n_segments,
        [SECONDS] = v->audio_s,
        [KL] = rounded(v->kl_mean, 2),
        [CHANGED] = (double)v->n_changed,
        [LOST] = (double)v->n_lost,
        [COSINE] = 1 - rounded(1 - v->cosine_mean, 2),
        [COSINE_LOWEST] = 1 - rounded(1 - v->cosine_lowest, 2),
    };
    for (size_t i = 0; i < N_KEYS; i++) {
        if (keys[i].of_encoder && !j->is_bundle)
            continue;
        TRY(keys[i].type == WMETA_BOOL  ? gguf_writer_replace_bool(j->out, keys[i].key, values[i] != 0, err)
            : keys[i].type == WMETA_U32 ? gguf_writer_replace_u32(j->out, keys[i].key, (uint32_t)values[i], err)
                                        : gguf_writer_replace_f32(j->out, keys[i].key, (float)values[i], err));
    }
    return QASR_OK;
}

/* ---- limits ------------------------------------------------------------------------------------ */

static const char *comma(const buf *b) { return b->len ? ", " : ""; }

static qasr_status list_failures(buf *out, const qasr_verification *v, qasr_error *err)
{
    if (!(v->cosine_lowest >= QASR_VERIFY_MIN_COSINE))
        TRY(buf_printf(out, err, "encoder cosine %.4f (at least %g allowed)", v->cosine_lowest,
                       QASR_VERIFY_MIN_COSINE));
    if (!(v->kl_mean <= QASR_VERIFY_MAX_KL))
        TRY(buf_printf(out, err, "%sKL %.3g (at most %g allowed)", comma(out), v->kl_mean, QASR_VERIFY_MAX_KL));
    if (v->n_lost)
        TRY(buf_printf(out, err, "%sno text left in %zu of %zu segments (none allowed)", comma(out), v->n_lost,
                       v->n_segments));
    return QASR_OK;
}

/* What may help, and is not done yet. */
static qasr_status list_advice(buf *out, const convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    if (encoder_is_small(j))
        TRY(buf_add_str(out, "q8_0 for the encoder", err));
    if (!j->equalizer)
        TRY(buf_printf(out, err, "%sequalizing", comma(out)));
    if (opt->n_calibration_audio == 0)
        TRY(buf_printf(out, err, "%scalibration audio", comma(out)));
    return buf_printf(out, err, "%s%s", out->len ? " or " : "",
                      opt->auto_mix > 0 ? "more bits for the mix" : "a larger type");
}

static qasr_status judge(const convert_job *j, qasr_verification *v, qasr_error *err)
{
    enum { MAX_TEXT = 1024 };
    buf failures, advice;
    qasr_status status;
    buf_init(&failures, MAX_TEXT);
    buf_init(&advice, MAX_TEXT);
    TRY_GOTO(list_failures(&failures, v, err));
    TRY_GOTO(list_advice(&advice, j, err));
    v->passed = failures.len == 0;
    if (!v->passed && j->opt->keep_failed)
        log_warning("'%s' fails verification: %s; try %s", j->opt->output, failures.data, advice.data);
    else if (!v->passed)
        status = error_set(err, QASR_E_INVALID, "'%.150s' was not written, it fails verification: %s; try %s",
                           j->opt->output, failures.data, advice.data);
done:
    buf_free(&failures);
    buf_free(&advice);
    return status;
}

/* ---- the new file ------------------------------------------------------------------------------ */

static qasr_status open_decoder(qasr_model **out, const convert_job *j, const char *path, qasr_error *err)
{
    qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    char *full = realpath(path, NULL); /* a relative name would be one in the model's directory */
    if (!full)
        return error_set_errno(err, "cannot open '%s'", path);
    opt.decoder_gguf = full;
    qasr_status status = engine_model_open(out, j->input_model.dir, &opt, err);
    free(full);
    return status;
}

static qasr_status run(convert_job *j, const char *path, qasr_verification *out, qasr_error *err)
{
    const qasr_model_options opt = QASR_MODEL_OPTIONS_INIT;
    qasr_model *made = NULL;
    TRY(j->is_bundle ? engine_model_open(&made, path, &opt, err) : open_decoder(&made, j, path, err));
    qasr_status status = verifier_run(j->verifier, made, j->is_bundle, out, err);
    engine_model_close(made);
    return status;
}

qasr_status convert_verify(convert_job *j, qasr_verification *out, qasr_error *err)
{
    const char *path;
    TRY(gguf_writer_finish(j->out, &path, err));
    qasr_status status = run(j, path, out, err);
    if (j->failure.status != QASR_OK) /* on_progress cancelled */
        return error_set(err, j->failure.status, "%s", j->failure.message);
    TRY(status);
    TRY(judge(j, out, err));
    return replace_keys(j, out, err);
}
