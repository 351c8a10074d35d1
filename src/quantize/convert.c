/* Quantizes a checkpoint or a GGUF file: mapped weights in, one GGUF file out (streamed, atomic).
 *
 * The plan (plan.c) says which tensor gets which type. Calibrated matrices are converted first (convert_calibrated.c),
 * everything else after that (convert_chunks.c). A dry run stops at the header: its writer has no file and only
 * computes how large it would be. */
#include "quantize/convert.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "quantize/auto_mix.h"
#include "quantize/convert_calibrated.h"
#include "quantize/convert_chunks.h"
#include "quantize/convert_report.h"
#include "quantize/convert_verify.h"
#include "quantize/metadata.h"
#include "quantize/output_file.h"
#include "weights/gguf_write.h"

/* ---- output: checks, header ------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const char *path)
{
    struct stat b;
    return stat(path, &b) == 0 && a->st_dev == b.st_dev && a->st_ino == b.st_ino;
}

static qasr_status check_output(const convert_job *j, qasr_error *err)
{
    const char *path = j->opt->output;
    struct stat st;
    if (stat(path, &st) != 0)
        return QASR_OK;
    for (size_t s = 0; s < j->input_model.n_sources; s++)
        for (unsigned i = 0; i < weights_file_count(j->input_model.sources[s]); i++)
            if (same_file(&st, weights_file_path(j->input_model.sources[s], i)))
                return error_set(err, QASR_E_INVALID, "output '%s' is one of the input files: choose another name",
                                 path);
    if (same_file(&st, j->opt->input) && !S_ISDIR(st.st_mode))
        return error_set(err, QASR_E_INVALID, "output '%s' is the input: choose another name", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, QASR_E_INVALID, "cannot write '%s': it is %s, expected a file name", path,
                         S_ISDIR(st.st_mode) ? "a directory" : "a special file");
    return j->opt->overwrite ? output_file_check(path, OUTPUT_MODEL, err) : QASR_OK;
}

static qasr_status add_tensors(convert_job *j, qasr_error *err)
{
    TRY(MEM_ALLOC(&j->index, j->plan.n, err));
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        bool is_vector = e->kind == PLAN_NORM || e->kind == PLAN_BIAS; /* also if the source has it as [n, 1, 1] */
        if (!e->skipped)
            TRY(gguf_writer_add(j->out, plan_name(e), e->type, is_vector ? 1 : e->t->n_dims,
                                is_vector ? &e->t->n_values : e->t->shape, &j->index[i], err));
    }
    return QASR_OK;
}

static qasr_status add_audio_names(const convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    TRY(gguf_writer_meta_strings(j->out, "qasr.calibration.audio", opt->n_calibration_audio, err));
    for (size_t i = 0; i < opt->n_calibration_audio; i++) {
        const char *name = file_base_name(opt->calibration_audio[i]);
        TRY(gguf_writer_next_string(j->out, name, strlen(name), err));
    }
    return QASR_OK;
}

static qasr_status open_output(convert_job *j, qasr_error *err)
{
    bool dry = j->opt->dry_run != 0;
    TRY(gguf_writer_create(&j->out, dry ? NULL : j->opt->output, j->opt->overwrite != 0, err));
    TRY(metadata_add(j->out, &j->input_model, &j->rules, j->is_bundle ? BUNDLE_ARCHITECTURE : "qasr", err));
    if (j->opt->calibration)
        TRY(gguf_writer_meta_str(j->out, "qasr.calibration", file_base_name(j->opt->calibration), err));
    if (j->opt->n_calibration_audio)
        TRY(add_audio_names(j, err));
    if (j->opt->auto_mix > 0) {
        TRY(gguf_writer_meta_f32(j->out, "qasr.auto_mix.bits_wanted", (float)j->opt->auto_mix, err));
        TRY(gguf_writer_meta_f32(j->out, "qasr.auto_mix.bits", (float)j->auto_mix_bits, err));
    }
    if (j->equalizer)
        TRY(gguf_writer_meta_u32(j->out, "qasr.equalized", (uint32_t)equalizer_changed(j->equalizer), err));
    TRY(convert_verify_add_keys(j, err));
    if (j->is_bundle)
        TRY(bundle_add_metadata(j->out, &j->input_model, &j->plan, err));
    TRY(add_tensors(j, err));
    return dry ? QASR_OK : gguf_writer_begin_data(j->out, err);
}

/* ---- plan ------------------------------------------------------------------------------------ */

static qasr_status find_mixes(convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    plan_rules *r = &j->rules;
    TRY(plan_find_mix(&r->decoder, opt->qtype, "type", err));
    r->encoder = plan_encoder_mix(&r->decoder);
    if (opt->encoder_qtype)
        TRY(plan_find_mix(&r->encoder, opt->encoder_qtype, "encoder type", err));
    if (opt->embedding_qtype)
        TRY(type_from_name(&r->decoder.embedding, opt->embedding_qtype, "embedding type", "", err));
    return QASR_OK;
}

static qasr_status set_rules(convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    TRY(find_mixes(j, err));
    if (opt->n_threads < 0 || opt->n_threads > POOL_MAX_THREADS)
        return error_set(err, QASR_E_INVALID, "%d threads requested, expected 0 to %d", opt->n_threads,
                         POOL_MAX_THREADS);
    j->is_bundle = strcmp(opt->scope, BUNDLE_SCOPE) == 0;
    j->rules.scope = opt->scope;
    j->rules.layout = j->is_bundle ? BUNDLE_LAYOUT : NAMES_ORIGINAL;
    j->rules.exact_convolutions = j->is_bundle;
    j->rules.quantize_embeddings = j->is_bundle || opt->quantize_embeddings || opt->embedding_qtype;
    if (opt->n_tensor_types)
        TRY(type_rules_create(&j->rules.types, opt->tensor_patterns, opt->tensor_types, opt->n_tensor_types, err));
    return QASR_OK;
}

/* The file's type is then the type of most of its weights, its mix is called "auto_mix". */
static qasr_status mix_types(convert_job *j, qasr_error *err)
{
    auto_mix m = { .plan = &j->plan, .calibration = j->calibration, .pool = j->pool, .opt = j->opt };
    TRY(auto_mix_choose(&m, err));
    j->rules.decoder = (quant_mix){ "auto_mix", m.main_type, m.main_type, m.main_type, true };
    j->auto_mix_bits = m.bits;
    return QASR_OK;
}

static bool wants_equalizer(const qasr_quantize_options *opt)
{
    const bool has_statistics = opt->calibration || opt->n_calibration_audio > 0;
    return opt->equalize == QASR_EQUALIZE_ON || (opt->equalize == QASR_EQUALIZE_AUTO && has_statistics);
}

static qasr_status equalize(convert_job *j, qasr_error *err)
{
    const equalize_options opt = { .calibration = j->calibration, .tied = j->rules.tied };
    if (!wants_equalizer(j->opt) || (j->opt->dry_run && j->opt->auto_mix <= 0))
        return QASR_OK;
    TRY(equalizer_create(&j->equalizer, &j->plan, &opt, j->pool, err));
    log_info("equalized %zu of %zu groups of channels", equalizer_changed(j->equalizer),
             equalizer_groups(j->equalizer));
    return QASR_OK;
}

static qasr_status make_plan(convert_job *j, qasr_error *err)
{
    TRY(set_rules(j, err));
    TRY(pool_create(&j->pool, (unsigned)j->opt->n_threads, err));
    TRY(input_model_open(&j->input_model, j->opt->input, j->is_bundle, j->opt->scope, err));
    if (!j->opt->dry_run)
        TRY(check_output(j, err));
    j->rules.tied = j->input_model.tied;
    if (j->is_bundle) {
        TRY(bundle_create(&j->bundle, j->input_model.model, err));
        j->rules.extra = bundle_tensors(j->bundle, &j->rules.n_extra);
    }
    TRY(plan_build(&j->plan, j->input_model.sources, j->input_model.n_sources, &j->rules, err));
    TRY(convert_verify_prepare(j, err));
    TRY(convert_choose_calibrated(j, err));
    TRY(equalize(j, err));
    if (j->opt->auto_mix > 0)
        TRY(mix_types(j, err));
    if (j->opt->calibration && j->opt->n_calibration_audio)
        TRY(convert_recalibrate_by_audio(j, err));
    TRY(convert_report_lossy_input(j, err));
    TRY(convert_report_tensors(j, err));
    return convert_chunks_count(j, err);
}

/* ---- the conversion ---------------------------------------------------------------------------- */

static qasr_status convert_all(convert_job *j, qasr_error *err)
{
    TRY(convert_chunks_alloc(j, err));
    convert_chunks_progress(j, 0);
    TRY(convert_calibrated(j, err));
    convert_chunks_run(j);
    if (j->failure.status == QASR_OK)
        return QASR_OK;
    return error_set(err, j->failure.status, "%s", j->failure.message);
}

static qasr_status convert(convert_job *j, qasr_quantize_report *made, qasr_error *err)
{
    TRY(make_plan(j, err));
    TRY(open_output(j, err));
    if (j->opt->dry_run) {
        TRY(convert_report_rows(made, j, err));
        return gguf_writer_measure(j->out, &made->file_bytes, err);
    }
    TRY(convert_all(j, err));
    TRY(convert_report_rows(made, j, err));
    if (j->verifier) {
        TRY(convert_verify(j, &made->verification, err));
        made->verified = true;
    }
    TRY(gguf_writer_commit(j->out, &made->file_bytes, err));
    log_info("wrote '%s'", j->opt->output);
    return QASR_OK;
}

static void job_free(convert_job *j)
{
    verifier_free(j->verifier);
    gguf_writer_free(j->out);
    convert_chunks_free(j);
    hessian_free(&j->hessian);
    pool_free(j->pool);
    mem_free(j->index);
    plan_free(&j->plan);
    equalizer_free(j->equalizer);
    calibration_close(j->calibration);
    type_rules_free(j->rules.types);
    bundle_free(j->bundle);
    input_model_close(&j->input_model);
    pthread_mutex_destroy(&j->mutex);
}

qasr_status convert_run(const qasr_quantize_options *opt, qasr_quantize_report *report, qasr_error *err)
{
    double start = clock_now_s();
    convert_job j = { .opt = opt };
    qasr_quantize_report made = { 0 };
    pthread_mutex_init(&j.mutex, NULL);
    qasr_status status = convert(&j, &made, err);
    made.seconds = clock_now_s() - start;
    if (status == QASR_OK && report) {
        *report = made;
        made.rows = NULL;
    }
    mem_free(made.rows);
    job_free(&j);
    return status;
}
