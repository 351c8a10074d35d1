/* Quantizes a checkpoint or a GGUF file: mapped weights in, one GGUF file out (streamed, atomic).
 *
 * The plan (plan.c) says which tensor gets which type. All values of all planned tensors are then one list
 * of chunks of CHUNK_VALUES values; the pool's threads take chunks across tensor boundaries, convert them
 * (source -> float -> blocks), compare the result with the source, write it at its place in the file and
 * give the mapped pages back. Memory is a few buffers per thread, whatever the size of the model. Chunk
 * bounds are multiples of every block length, so the bytes do not depend on the number of threads.
 *
 * With a calibration the matrices that it knows go first, in chunks of a few rows (convert_calibrated.c).
 *
 * A dry run stops at the header: the writer has no file then, and says how large it would be. */
#include "quantize/convert.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "quantize/auto_mix.h"
#include "quantize/convert_calibrated.h"
#include "quantize/convert_job.h"
#include "quantize/metadata.h"
#include "weights/gguf_write.h"

enum {
    CHUNK_VALUES = 1 << 18, /* 512 KiB of bf16 */
    BATCH_VALUES = 1 << 12, /* what is converted at once: float copies stay in the L1 cache */
    MAX_THREADS = 1024
};

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
    return QASR_OK;
}

static qasr_status add_tensors(convert_job *j, qasr_error *err)
{
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
    if (j->is_bundle)
        TRY(bundle_add_metadata(j->out, &j->input_model, &j->plan, err));
    TRY(add_tensors(j, err));
    return dry ? QASR_OK : gguf_writer_begin_data(j->out, err);
}

/* ---- one chunk ------------------------------------------------------------------------------- */

static bool all_finite(const float *x, size_t n)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bad |= (bits & 0x7F800000u) == 0x7F800000u;
    }
    return !bad;
}

static unsigned long long row_of(const plan_entry *e, uint64_t value)
{
    return value / (e->row_values ? e->row_values : 1);
}

/* x holds a value that is not finite; at: index of x[0] in the tensor. */
static qasr_status report_source(const plan_entry *e, uint64_t at, const float *x, size_t n, qasr_error *err)
{
    size_t i = 0;
    while (i + 1 < n && isfinite(x[i]))
        i++;
    return error_set(err, QASR_E_FORMAT, "tensor '%s' row %llu holds %s, expected finite weights", e->t->name,
                     row_of(e, at + i), isnan(x[i]) ? "NaN" : "an infinite value");
}

/* y, the stored form of x, is not finite somewhere; the largest x there is what does not fit. */
static qasr_status report_overflow(const plan_entry *e, uint64_t at, const float *x, const float *y, size_t n,
                                   qasr_error *err)
{
    size_t worst = 0;
    for (size_t i = 0; i < n; i++)
        if (!isfinite(y[i]) && (isfinite(y[worst]) || fabsf(x[i]) > fabsf(x[worst])))
            worst = i;
    return error_set(err, QASR_E_UNSUPPORTED,
                     "tensor '%s' row %llu: %g is too large for %s, which stores half-precision numbers", e->t->name,
                     row_of(e, at + worst), (double)x[worst], quant_get(e->type)->name);
}

/* Differences of n values. Separate sums per lane let the compiler use vectors; their order is fixed. */
static void compare(chunk_error *ce, const float *x, const float *y, size_t n)
{
    enum { LANES = 8 };
    double sum[LANES] = { 0 };
    float max[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++) {
            float d = fabsf(y[i + k] - x[i + k]);
            max[k] = d > max[k] ? d : max[k];
            sum[k] += (double)d * d;
        }
    for (; i < n; i++) {
        float d = fabsf(y[i] - x[i]);
        max[0] = d > max[0] ? d : max[0];
        sum[0] += (double)d * d;
    }
    for (size_t k = 0; k < LANES; k++) {
        ce->max = max[k] > ce->max ? max[k] : ce->max;
        ce->sum_sq += sum[k];
    }
}

/* Converts n values from begin into s->out. */
static qasr_status convert_values(const plan_entry *e, uint64_t begin, size_t n, scratch *s, chunk_error *ce,
                                  qasr_error *err)
{
    const quant_info *q = quant_get(e->type);
    for (size_t i = 0; i < n; i += BATCH_VALUES) {
        size_t m = n - i < BATCH_VALUES ? n - i : BATCH_VALUES;
        unsigned char *out = s->out + quant_row_bytes(q, i);
        plan_read_values(s->x, e->t, begin + i, m);
        if (!all_finite(s->x, m))
            return report_source(e, begin + i, s->x, m, err);
        if (e->way == PLAN_COPY) {
            memcpy(out, (const unsigned char *)e->t->data + (begin + i) / q->block * q->bytes, quant_row_bytes(q, m));
            continue;
        }
        q->quantize(out, s->x, m);
        q->dequantize(s->y, out, m);
        if (!all_finite(s->y, m))
            return report_overflow(e, begin + i, s->x, s->y, m, err);
        compare(ce, s->x, s->y, m);
    }
    return QASR_OK;
}

/* Rows [first, first + n) are made: x, and y in its stored form. */
static void copy_rows(const convert_copy *to, const plan_entry *e, uint64_t first, size_t n, const scratch *s)
{
    size_t cols = (size_t)e->row_values, row_bytes = quant_row_bytes(quant_get(e->type), cols);
    memcpy(to->blocks + first * row_bytes, s->out, n * row_bytes);
    for (size_t r = 0; to->shift && r < n; r++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++)
            sum += (double)s->x[r * cols + c] * to->exact_mean[c] - (double)s->y[r * cols + c] * to->mean[c];
        to->shift[first + r] = sum;
    }
}

/* The same for whole rows, with what is known of their inputs. */
static qasr_status convert_rows(const convert_job *j, const plan_entry *e, uint64_t begin, size_t n, scratch *s,
                                chunk_error *ce, qasr_error *err)
{
    const quant_info *q = quant_get(e->type);
    size_t cols = (size_t)e->row_values, n_rows = n / cols;
    plan_read_values(s->x, e->t, begin, n);
    if (!all_finite(s->x, n))
        return report_source(e, begin, s->x, n, err);
    if (j->hessian.factor) {
        gptq_rows(&j->hessian, s->out, e->type, s->x, n_rows, s->rounding);
    } else {
        const float *importance;
        TRY(calibration_importance(j->calibration, e->t->canonical, cols, &importance, NULL, err));
        for (size_t r = 0; r < n_rows; r++)
            q->quantize_weighted(s->out + r * quant_row_bytes(q, cols), s->x + r * cols, importance, cols);
    }
    q->dequantize(s->y, s->out, n);
    compare(ce, s->x, s->y, n);
    if (j->copy)
        copy_rows(j->copy, e, begin / cols, n_rows, s);
    return QASR_OK;
}

static uint64_t chunk_values(const plan_entry *e)
{
    return e->way == PLAN_CALIBRATED ? GPTQ_ROWS * e->row_values : CHUNK_VALUES;
}

static size_t find_entry(const convert_job *j, size_t chunk)
{
    size_t lo = 0, hi = j->plan.n; /* first_chunk[lo] <= chunk < first_chunk[hi] */
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (j->first_chunk[mid] <= chunk)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static qasr_status do_chunk(convert_job *j, size_t chunk, unsigned thread, qasr_error *err)
{
    size_t i = find_entry(j, chunk);
    const plan_entry *e = &j->plan.entries[i];
    uint64_t size = chunk_values(e), begin = (uint64_t)(chunk - j->first_chunk[i]) * size;
    size_t n = (size_t)(e->t->n_values - begin < size ? e->t->n_values - begin : size);
    const quant_info *q = quant_get(e->type);
    scratch *s = &j->scratch[thread];
    if (e->way == PLAN_CALIBRATED)
        TRY(convert_rows(j, e, begin, n, s, &j->errors[chunk], err));
    else
        TRY(convert_values(e, begin, n, s, &j->errors[chunk], err));
    TRY(gguf_writer_put(j->out, j->index[i], begin / q->block * q->bytes, s->out, quant_row_bytes(q, n), err));
    plan_release_values(e, begin, n);
    if (atomic_fetch_sub(&j->chunks_left[i], 1) == 1)
        plan_release_values(e, 0, e->t->n_values);
    atomic_fetch_add(&j->bytes_done, quant_row_bytes(quant_get(e->t->type), n));
    return QASR_OK;
}

/* ---- all chunks ------------------------------------------------------------------------------ */

static void note_failure(convert_job *j, size_t chunk, const qasr_error *failure)
{
    pthread_mutex_lock(&j->mutex);
    if (j->failure.status == QASR_OK || chunk < j->failed_chunk) {
        j->failed_chunk = chunk;
        j->failure = *failure;
    }
    pthread_mutex_unlock(&j->mutex);
    atomic_store(&j->stop, true);
}

void convert_tell(convert_job *j, size_t chunk)
{
    const qasr_quantize_options *opt = j->opt;
    qasr_error e;
    if (!opt->on_progress)
        return;
    const char *what = j->plan.entries[find_entry(j, chunk)].t->canonical;
    uint64_t done = atomic_load(&j->bytes_done), total = j->bytes_total;
    if (opt->n_calibration_audio) { /* listening counts as much as the rest */
        done += (uint64_t)(j->listened * (double)total);
        total *= 2;
    }
    if (opt->on_progress(opt->user, done, total, what) != 0) {
        error_set(&e, QASR_E_CANCELLED, "quantization was cancelled; '%s' was not written", opt->output);
        note_failure(j, chunk, &e);
    }
}

static void run_chunk(convert_job *j, size_t chunk, unsigned thread)
{
    qasr_error e = { .status = QASR_OK };
    if (atomic_load(&j->stop))
        return;
    if (do_chunk(j, chunk, thread, &e) != QASR_OK)
        note_failure(j, chunk, &e);
    else if (thread == 0) /* the caller's own thread, as convert.h promises */
        convert_tell(j, chunk);
}

/* Those of calibrated matrices come by convert_entry. */
static void chunk_task(void *arg, size_t chunk, unsigned thread)
{
    convert_job *j = arg;
    if (j->plan.entries[find_entry(j, chunk)].way != PLAN_CALIBRATED)
        run_chunk(j, chunk, thread);
}

typedef struct entry_job {
    convert_job *j;
    size_t first_chunk;
} entry_job;

static void entry_task(void *arg, size_t chunk, unsigned thread)
{
    const entry_job *e = arg;
    run_chunk(e->j, e->first_chunk + chunk, thread);
}

void convert_entry(convert_job *j, size_t i)
{
    pool_run(j->pool, entry_task, &(entry_job){ j, j->first_chunk[i] }, j->first_chunk[i + 1] - j->first_chunk[i]);
}

qasr_status convert_put(convert_job *j, size_t i, const void *data, size_t n, qasr_error *err)
{
    atomic_fetch_add(&j->bytes_done, j->plan.entries[i].t->n_bytes);
    return gguf_writer_put(j->out, j->index[i], 0, data, n, err);
}

static qasr_status alloc_scratch(convert_job *j, qasr_error *err)
{
    unsigned n = pool_threads(j->pool);
    size_t widest = 0, longest = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        const quant_info *q = quant_get(e->type);
        size_t values = (size_t)(e->t->n_values < chunk_values(e) ? e->t->n_values : chunk_values(e));
        if (!e->skipped && quant_row_bytes(q, values) > widest)
            widest = quant_row_bytes(q, values);
        if (!e->skipped && e->way == PLAN_CALIBRATED && e->row_values > longest)
            longest = (size_t)e->row_values;
    }
    size_t floats = GPTQ_ROWS * longest > BATCH_VALUES ? GPTQ_ROWS * longest : BATCH_VALUES;
    TRY(MEM_CALLOC(&j->scratch, n, err));
    for (unsigned i = 0; i < n; i++) {
        scratch *s = &j->scratch[i];
        TRY(MEM_ALLOC(&s->x, floats, err));
        TRY(MEM_ALLOC(&s->y, floats, err));
        if (longest)
            TRY(MEM_ALLOC(&s->rounding, gptq_scratch(longest), err));
        TRY(MEM_ALLOC(&s->out, widest, err));
    }
    return QASR_OK;
}

static qasr_status count_chunks(convert_job *j, qasr_error *err)
{
    TRY(MEM_ALLOC(&j->index, j->plan.n, err));
    TRY(MEM_ALLOC(&j->first_chunk, j->plan.n + 1, err));
    TRY(MEM_ALLOC(&j->chunks_left, j->plan.n, err));
    size_t n = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        uint64_t values = e->skipped ? 0 : e->t->n_values;
        j->first_chunk[i] = n;
        size_t chunks = (size_t)((values + chunk_values(e) - 1) / chunk_values(e));
        atomic_init(&j->chunks_left[i], chunks);
        n += chunks;
        j->bytes_total += e->skipped ? 0 : e->t->n_bytes;
    }
    j->first_chunk[j->plan.n] = n;
    return MEM_CALLOC(&j->errors, n, err);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static qasr_status convert_all(convert_job *j, qasr_error *err)
{
    TRY(alloc_scratch(j, err));
    convert_tell(j, 0);
    TRY(convert_calibrated(j, err));
    pool_run(j->pool, chunk_task, j, j->first_chunk[j->plan.n]);
    if (j->failure.status == QASR_OK)
        return QASR_OK;
    return error_set(err, j->failure.status, "%s", j->failure.message);
}

/* ---- report ---------------------------------------------------------------------------------- */

static void add_to_row(qasr_quantize_row *row, const convert_job *j, size_t i, double *sum_sq)
{
    const plan_entry *e = &j->plan.entries[i];
    row->n_tensors++;
    row->n_values += e->t->n_values;
    row->bytes_before += e->t->n_bytes;
    row->bytes_after += e->bytes;
    row->n_fallback += e->fallback;
    for (size_t c = j->first_chunk[i]; c < j->first_chunk[i + 1]; c++) { /* zeros in a dry run */
        *sum_sq += j->errors[c].sum_sq;
        if (j->errors[c].max > row->max_error)
            row->max_error = j->errors[c].max;
    }
}

/* One row for all tensors of a kind with one type; type < 0: the skipped ones. False if there are none. */
static bool make_row(qasr_quantize_row *row, const convert_job *j, plan_kind kind, int type)
{
    double sum_sq = 0;
    *row = (qasr_quantize_row){ .kind = plan_kind_name(kind), .type = type < 0 ? "skipped" : quant_get(type)->name };
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        if (e->kind == kind && (e->skipped ? type < 0 : (int)e->type == type))
            add_to_row(row, j, i, &sum_sq);
    }
    row->rms_error = row->n_values ? sqrt(sum_sq / (double)row->n_values) : 0;
    return row->n_tensors > 0;
}

static qasr_status make_report(qasr_quantize_report *report, const convert_job *j, qasr_error *err)
{
    qasr_quantize_row row;
    TRY(MEM_ALLOC(&report->rows, (size_t)PLAN_KIND_COUNT * (QUANT_TYPE_COUNT + 1), err));
    for (int kind = 0; kind < PLAN_KIND_COUNT; kind++)
        for (int type = -1; type < QUANT_TYPE_COUNT; type++)
            if (make_row(&row, j, (plan_kind)kind, type))
                report->rows[report->n_rows++] = row;
    return QASR_OK;
}

/* ---- what the caller hears before anything is written ------------------------------------------- */

static qasr_status tell_tensors(const convert_job *j, qasr_error *err)
{
    const qasr_quantize_options *opt = j->opt;
    for (size_t i = 0; opt->on_tensor && i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        qasr_quantize_tensor t = {
            .name = e->t->canonical,
            .output_name = e->skipped ? "" : plan_name(e),
            .kind = plan_kind_name(e->kind),
            .part = plan_part(e),
            .source_type = quant_get(e->t->type)->name,
            .type = e->skipped ? "skipped" : quant_get(e->type)->name,
            .n_dims = e->t->n_dims,
            .n_values = e->t->n_values,
            .bytes_before = e->t->n_bytes,
            .bytes_after = e->bytes,
            .fallback = e->fallback,
            .mixed = e->mixed,
            .sensitivity = e->sensitivity,
        };
        memcpy(t.shape, e->t->shape, sizeof t.shape);
        if (opt->on_tensor(opt->user, &t) != 0)
            return error_set(err, QASR_E_CANCELLED, "quantization was cancelled; nothing was written");
    }
    return QASR_OK;
}

/* What a source in blocks has lost is lost: one line that names the types and their share of the weights. */
static qasr_status warn_if_lossy(const convert_job *j, qasr_error *err)
{
    uint64_t n_values[QUANT_TYPE_COUNT] = { 0 }, n_all = 0;
    for (size_t i = 0; i < j->plan.n; i++) {
        const plan_entry *e = &j->plan.entries[i];
        n_all += e->skipped ? 0 : e->t->n_values;
        if (!e->skipped && e->way != PLAN_COPY && quant_get(e->t->type)->block > 1)
            n_values[e->t->type] += e->t->n_values;
    }
    buf text;
    buf_init(&text, 1024);
    qasr_status status = QASR_OK;
    for (int t = 0; t < QUANT_TYPE_COUNT && status == QASR_OK; t++)
        if (n_values[t])
            status = buf_printf(&text, err, "%s%s (%.1f %% of the weights)", text.len ? ", " : "",
                                quant_get((quant_type)t)->name, 100.0 * (double)n_values[t] / (double)n_all);
    if (status == QASR_OK && text.len)
        log_warning(
            "'%s' is quantized already: %s; what that lost is not in the result either, the original checkpoint is the "
            "better input",
            j->opt->input, buf_str(&text));
    buf_free(&text);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

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
    if (opt->n_threads < 0 || opt->n_threads > MAX_THREADS)
        return error_set(err, QASR_E_INVALID, "%d threads asked for, expected 0 to %d", opt->n_threads, MAX_THREADS);
    j->is_bundle = strcmp(opt->scope, BUNDLE_SCOPE) == 0;
    j->rules.scope = opt->scope;
    j->rules.layout = j->is_bundle ? BUNDLE_LAYOUT : NAMES_ORIGINAL;
    j->rules.exact_convolutions = j->is_bundle;
    j->rules.quantize_embeddings = j->is_bundle || opt->quantize_embeddings || opt->embedding_qtype;
    if (opt->n_tensor_types)
        TRY(type_rules_create(&j->rules.types, opt->tensor_patterns, opt->tensor_types, opt->n_tensor_types, err));
    return QASR_OK;
}

/* The file is then of the type of most of its weights, under a name of its own. */
static qasr_status mix_types(convert_job *j, qasr_error *err)
{
    auto_mix m = { .plan = &j->plan, .calibration = j->calibration, .pool = j->pool, .opt = j->opt };
    TRY(auto_mix_choose(&m, err));
    j->rules.decoder = (quant_mix){ "auto_mix", m.main_type, m.main_type, m.main_type, true };
    j->auto_mix_bits = m.bits;
    return QASR_OK;
}

static void job_free(convert_job *j)
{
    gguf_writer_free(j->out);
    for (unsigned i = 0; j->scratch && i < pool_threads(j->pool); i++) {
        mem_free(j->scratch[i].x);
        mem_free(j->scratch[i].y);
        mem_free(j->scratch[i].rounding);
        mem_free(j->scratch[i].out);
    }
    mem_free(j->scratch);
    hessian_free(&j->hessian);
    pool_free(j->pool);
    mem_free(j->errors);
    mem_free(j->chunks_left);
    mem_free(j->first_chunk);
    mem_free(j->index);
    plan_free(&j->plan);
    calibration_close(j->calibration);
    type_rules_free(j->rules.types);
    bundle_free(j->bundle);
    input_model_close(&j->input_model);
    pthread_mutex_destroy(&j->mutex);
}

static qasr_status make_plan(convert_job *j, qasr_error *err)
{
    TRY(set_rules(j, err));
    TRY(pool_create(&j->pool, (unsigned)j->opt->n_threads, err));
    TRY(input_model_open(&j->input_model, j->opt->input, j->is_bundle, err));
    if (!j->opt->dry_run)
        TRY(check_output(j, err));
    j->rules.tied = j->input_model.tied;
    if (j->is_bundle) {
        TRY(bundle_create(&j->bundle, j->input_model.model, err));
        j->rules.extra = bundle_tensors(j->bundle, &j->rules.n_extra);
    }
    TRY(plan_build(&j->plan, j->input_model.sources, j->input_model.n_sources, &j->rules, err));
    TRY(convert_choose_calibrated(j, err));
    if (j->opt->auto_mix > 0)
        TRY(mix_types(j, err));
    if (j->opt->calibration && j->opt->n_calibration_audio)
        TRY(convert_leave_to_audio(j, err));
    TRY(warn_if_lossy(j, err));
    TRY(tell_tensors(j, err));
    return count_chunks(j, err);
}

static qasr_status convert(convert_job *j, qasr_quantize_report *made, qasr_error *err)
{
    TRY(make_plan(j, err));
    TRY(open_output(j, err));
    if (j->opt->dry_run) {
        TRY(make_report(made, j, err));
        return gguf_writer_measure(j->out, &made->file_bytes, err);
    }
    TRY(convert_all(j, err));
    TRY(make_report(made, j, err));
    TRY(gguf_writer_commit(j->out, &made->file_bytes, err));
    log_info("wrote '%s'", j->opt->output);
    return QASR_OK;
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
