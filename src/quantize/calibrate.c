/* Statistics of the inputs of a model's matrices: audio files in, a GGUF file of sums out.
 *
 * The clips are transcribed as usual, in float32, while a watch on the network (net_watch_fn) adds the rows of every
 * input to its moments (input_moments.h). These depend only on the order of an input's rows, and so only on the clips:
 * not on the threads, nor on which inputs are watched. If the sums do not all fit into memory, each pass over the audio
 * collects a group of them, and the file is the same. */
#include "quantize/calibrate.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/stages.h"
#include "quantize/audio_files.h"
#include "quantize/calibration_file.h"
#include "quantize/calibration_session.h"
#include "quantize/input_moments.h"
#include "quantize/output_file.h"
#include "weights/gguf_format.h"
#include "weights/gguf_write.h"

enum {
    OUT_FLOATS = 1 << 18, /* written at a time */
    DEFAULT_MEMORY_MB = 2048
};

/* The input of one or more matrices. */
typedef struct input {
    stage stage; /* its first matrix gives the name */
    size_t cols;
    size_t sums_index[STAGE_MAX_MATRICES], counts_index[STAGE_MAX_MATRICES], products_index; /* tensors of the file */
    input_moments sums; /* while its group is collected; the row counts remain */
} input;

typedef struct job {
    const qasr_calibrate_options *opt;
    audio_files files;
    qasr_model *model;
    qasr_session *session;
    input *inputs;
    size_t n_inputs;
    size_t group, group_end; /* inputs [group, group_end) are being collected */
    const input *previous;   /* of the last product; NULL: none yet */
    device_mem *group_mem;
    gguf_writer *out;
    float *host; /* [OUT_FLOATS] */
    size_t pass, n_passes;
    size_t n_given, n_done;      /* clips of the pass */
    size_t n_segments, n_tokens; /* of the first pass; prompt and answer */
    double audio_s;
    qasr_error failure; /* of a clip, or the caller cancelled */
} job;

/* ---- inputs --------------------------------------------------------------------------------------- */

static qasr_status list_inputs(job *j, qasr_error *err)
{
    net *n = j->session->net;
    j->n_inputs = stages_count(n);
    TRY(MEM_CALLOC(&j->inputs, j->n_inputs, err));
    for (size_t i = 0; i < j->n_inputs; i++) {
        input *in = &j->inputs[i];
        in->stage = stages_get(n, i);
        in->cols = in->stage.refs[0]->cols;
    }
    return QASR_OK;
}

static unsigned wanted(const job *j) { return MOMENTS_SQUARES | (j->opt->covariance ? MOMENTS_PRODUCTS : 0); }

static uint64_t input_bytes(const job *j, const input *in) { return input_moments_bytes(in->cols, wanted(j)); }

/* End of the group that starts at an input: as many as fit. */
static size_t find_group_end(const job *j, size_t first)
{
    uint64_t limit = (uint64_t)(j->opt->max_memory_mb ? j->opt->max_memory_mb : DEFAULT_MEMORY_MB) << 20, bytes = 0;
    size_t end = first;
    while (end < j->n_inputs && (bytes += input_bytes(j, &j->inputs[end])) <= limit)
        end++;
    return end;
}

static qasr_status count_passes(job *j, qasr_error *err)
{
    for (size_t first = 0; first < j->n_inputs; j->n_passes++) {
        size_t end = find_group_end(j, first);
        if (end == first)
            return error_set(
                err, QASR_E_INVALID, "the statistics of '%s' need %" PRIu64 " MB, the limit is %d; allow more memory",
                j->inputs[first].stage.refs[0]->tensor->canonical, (input_bytes(j, &j->inputs[first]) >> 20) + 1,
                j->opt->max_memory_mb ? j->opt->max_memory_mb : DEFAULT_MEMORY_MB);
        first = end;
    }
    return QASR_OK;
}

/* ---- collecting ----------------------------------------------------------------------------------- */

/* Releases the pages of the last product's matrices, which are needed again only after all others; the sums use them.
 */
static void watch(void *user, dmat x, dmat w, net_rows rows)
{
    job *j = user;
    if (j->previous)
        stage_release(&j->previous->stage);
    size_t index = stages_find(j->session->net, w);
    j->previous = &j->inputs[index];
    if (index >= j->group && index < j->group_end)
        input_moments_add(&j->inputs[index].sums, j->session->device, x, x, rows);
}

static qasr_status begin_group(job *j, qasr_error *err)
{
    uint64_t bytes = 0;
    size_t used = 0;
    device *d = j->session->device;
    for (size_t i = j->group; i < j->group_end; i++)
        bytes += input_bytes(j, &j->inputs[i]);
    if (bytes > SIZE_MAX)
        return error_set(err, QASR_E_NOMEM, "%" PRIu64 " bytes of statistics exceed the address space", bytes);
    TRY(device_alloc(d, &j->group_mem, (size_t)bytes, err));
    device_begin(d);
    for (size_t i = j->group; i < j->group_end; i++) {
        input_moments_place(&j->inputs[i].sums, j->group_mem, &used, j->inputs[i].cols, wanted(j));
        input_moments_clear(&j->inputs[i].sums, d);
    }
    return device_end(d, err);
}

static qasr_status end_group(job *j, qasr_error *err)
{
    device_begin(j->session->device);
    for (size_t i = j->group; i < j->group_end; i++)
        input_moments_flush(&j->inputs[i].sums, j->session->device);
    return device_end(j->session->device, err);
}

/* ---- a pass over the audio ------------------------------------------------------------------------ */

static int give_clip(void *user, qasr_clip *clip)
{
    job *j = user;
    if (j->n_given == j->files.n)
        return 0;
    clip->path = j->files.paths[j->n_given++];
    return 1;
}

static void count_result(job *j, const qasr_result *r)
{
    for (size_t i = 0; i < r->n_segments; i++)
        j->n_tokens += r->segments[i].n_prompt_tokens + r->segments[i].n_tokens;
    j->n_segments += r->n_segments;
    j->audio_s += r->timings.audio_s;
}

/* Non-zero: the caller cancels. */
static int report_progress(job *j)
{
    char what[64];
    snprintf(what, sizeof what, "pass %zu of %zu", j->pass + 1, j->n_passes);
    if (!j->opt->on_progress)
        return 0;
    return j->opt->on_progress(j->opt->user, j->pass * j->files.n + j->n_done, j->n_passes * j->files.n, what);
}

/* Non-zero: stop. */
static int check_cancelled(void *user)
{
    job *j = user;
    if (j->failure.status == QASR_OK && report_progress(j))
        error_write(&j->failure, QASR_E_CANCELLED, "calibration was cancelled");
    return j->failure.status != QASR_OK;
}

static int take_result(void *user, const qasr_clip *clip, qasr_result *result, const qasr_error *error)
{
    job *j = user;
    if (j->failure.status != QASR_OK) { /* the remaining clips are only handed back */
        engine_result_free(result);
        return 1;
    }
    if (error) {
        j->failure = *error;
        return 1;
    }
    j->n_done++;
    if (j->pass == 0)
        count_result(j, result);
    engine_result_free(result);
    return check_cancelled(j);
}

static qasr_status run_audio(job *j, qasr_error *err)
{
    j->n_given = j->n_done = 0;
    return calibration_session_run(j->session, give_clip, take_result, check_cancelled, j, &j->failure, err);
}

/* ---- the file ------------------------------------------------------------------------------------- */

static qasr_status declare_tensor(const job *j, const weight_ref *ref, const char *suffix, size_t n, size_t *index,
                                  qasr_error *err)
{
    char matrix[NAMES_MAX_BYTES], name[NAMES_MAX_BYTES + 16];
    uint64_t shape[] = { n };
    snprintf(name, sizeof name, "%s%s", names_shown(matrix, sizeof matrix, ref->tensor->canonical, CALIBRATION_LAYOUT),
             suffix);
    return gguf_writer_add(j->out, name, QUANT_F32, 1, shape, index, err);
}

static qasr_status declare_tensors(const job *j, qasr_error *err)
{
    for (size_t i = 0; i < j->n_inputs; i++) {
        input *in = &j->inputs[i];
        for (size_t k = 0; k < in->stage.n; k++) {
            TRY(declare_tensor(j, in->stage.refs[k], CALIBRATION_SUMS, in->cols, &in->sums_index[k], err));
            TRY(declare_tensor(j, in->stage.refs[k], CALIBRATION_COUNTS, 1, &in->counts_index[k], err));
        }
        if (j->opt->covariance)
            TRY(declare_tensor(j, in->stage.refs[0], CALIBRATION_PRODUCTS, input_moments_triangle(in->cols),
                               &in->products_index, err));
    }
    return QASR_OK;
}

static uint32_t mean_tokens(const job *j)
{
    size_t n = (j->n_tokens + j->n_segments / 2) / j->n_segments;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

/* Called after the first pass, which counts the segments. */
static qasr_status write_header(const job *j, qasr_error *err)
{
    if (j->n_segments == 0)
        return error_set(err, QASR_E_INVALID, "the audio has no samples: nothing to calibrate on");
    TRY(gguf_writer_meta_str(j->out, "general.type", GGUF_TYPE_IMATRIX, err));
    TRY(gguf_writer_meta_strings(j->out, "imatrix.datasets", j->opt->n_audio, err));
    for (size_t i = 0; i < j->opt->n_audio; i++)
        TRY(gguf_writer_next_string(j->out, j->opt->audio[i], strlen(j->opt->audio[i]), err));
    TRY(gguf_writer_meta_u32(j->out, "imatrix.chunk_count",
                             (uint32_t)(j->n_segments < UINT32_MAX ? j->n_segments : UINT32_MAX), err));
    TRY(gguf_writer_meta_u32(j->out, "imatrix.chunk_size", mean_tokens(j), err));
    TRY(gguf_writer_meta_str(j->out, "qasr.version", QASR_VERSION_STRING, err));
    TRY(declare_tensors(j, err));
    return gguf_writer_begin_data(j->out, err);
}

/* Writes a row of the device to each of tensors [n]. */
static qasr_status write_row(const job *j, const input *in, dmat row, const size_t *tensors, size_t n, qasr_error *err)
{
    for (size_t i = 0; i < row.cols; i += OUT_FLOATS) {
        size_t m = row.cols - i < OUT_FLOATS ? row.cols - i : OUT_FLOATS;
        dmat part = dmat_make(row.mem, row.offset + i * sizeof(float), QUANT_F32, 1, m);
        TRY(device_read(j->session->device, j->host, part, err));
        for (size_t k = 0; k < m; k++)
            if (!isfinite(j->host[k]))
                return error_set(
                    err, QASR_E_DEVICE,
                    "the inputs of '%s' are not finite or too large to be squared: are the weights in '%s' damaged?",
                    in->stage.refs[0]->tensor->canonical, j->model->checkpoint->path);
        for (size_t k = 0; k < n; k++)
            TRY(gguf_writer_put(j->out, tensors[k], i * sizeof(float), j->host, m * sizeof(float), err));
    }
    return QASR_OK;
}

static qasr_status write_group(const job *j, qasr_error *err)
{
    for (size_t i = j->group; i < j->group_end; i++) {
        const input *in = &j->inputs[i];
        float count = (float)in->sums.weight;
        TRY(write_row(j, in, in->sums.squares, in->sums_index, in->stage.n, err));
        for (size_t k = 0; k < in->stage.n; k++)
            TRY(gguf_writer_put(j->out, in->counts_index[k], 0, &count, sizeof count, err));
        if (j->opt->covariance)
            TRY(write_row(j, in, in->sums.triangle, &in->products_index, 1, err));
    }
    return QASR_OK;
}

/* ---- the run -------------------------------------------------------------------------------------- */

static qasr_status open_model(job *j, qasr_error *err)
{
    TRY(calibration_session_open(&j->model, &j->session, j->opt->model, QASR_DECODER_SAFETENSORS, j->opt->n_threads,
                                 err));
    j->session->context.watch = watch;
    j->session->context.watch_user = j;
    return QASR_OK;
}

static qasr_status run_pass(job *j, qasr_error *err)
{
    j->group_end = find_group_end(j, j->group);
    TRY(begin_group(j, err));
    TRY(run_audio(j, err));
    TRY(end_group(j, err));
    if (j->pass == 0)
        TRY(write_header(j, err));
    TRY(write_group(j, err));
    device_mem_free(j->session->device, j->group_mem);
    j->group_mem = NULL;
    j->group = j->group_end;
    return QASR_OK;
}

static void warn_few_rows(const job *j, const qasr_calibrate_report *r)
{
    net *n = j->session->net;
    const size_t enc_end = stages_of_encoder(n), dec_end = enc_end + stages_of_decoder(n);
    const calibration_rows parts[] = {
        { "encoder", r->encoder_rows, calibration_widest(n, 0, enc_end) },
        { "decoder", r->decoder_rows, calibration_widest(n, enc_end, dec_end) },
        { "head", r->answer_rows, calibration_widest(n, dec_end, dec_end + 1) },
    };
    calibration_warn_few_rows(parts, ARRAY_LEN(parts));
}

static void make_report(const job *j, qasr_calibrate_report *r)
{
    r->n_clips = j->files.n;
    r->n_segments = j->n_segments;
    r->n_passes = j->n_passes;
    for (size_t i = 0; i < j->n_inputs; i++)
        r->n_matrices += j->inputs[i].stage.n;
    r->audio_s = j->audio_s;
    r->encoder_rows = j->inputs[0].sums.n_rows;               /* of conv_out */
    r->decoder_rows = j->inputs[j->n_inputs - 2].sums.n_rows; /* of the last layer's down_proj */
    r->answer_rows = j->inputs[j->n_inputs - 1].sums.n_rows;  /* of the head */
}

static void job_free(job *j)
{
    if (j->session)
        device_mem_free(j->session->device, j->group_mem);
    gguf_writer_free(j->out);
    engine_session_close(j->session);
    engine_model_close(j->model);
    mem_free(j->inputs);
    mem_free(j->host);
    audio_files_free(&j->files);
}

qasr_status calibrate_run(const qasr_calibrate_options *opt, qasr_calibrate_report *report, qasr_error *err)
{
    double start = clock_now_s();
    job j = { .opt = opt };
    qasr_calibrate_report made = { report->struct_size };
    qasr_status status;
    TRY_GOTO(audio_files_find(&j.files, opt->audio, opt->n_audio, (size_t)opt->limit, err));
    if (opt->overwrite)
        TRY_GOTO(output_file_check(opt->output, OUTPUT_STATISTICS, err));
    TRY_GOTO(gguf_writer_create(&j.out, opt->output, opt->overwrite != 0, err));
    TRY_GOTO(MEM_ALLOC(&j.host, OUT_FLOATS, err));
    TRY_GOTO(open_model(&j, err));
    TRY_GOTO(list_inputs(&j, err));
    TRY_GOTO(count_passes(&j, err));
    for (; j.pass < j.n_passes; j.pass++)
        TRY_GOTO(run_pass(&j, err));
    make_report(&j, &made);
    warn_few_rows(&j, &made);
    TRY_GOTO(gguf_writer_commit(j.out, &made.file_bytes, err));
    made.seconds = clock_now_s() - start;
    log_info("wrote '%s'", opt->output);
    *report = made;
done:
    job_free(&j);
    return status;
}
