/* Log-mel features: 16 kHz mono samples in, [MEL_BINS, n / MEL_HOP] floats out, as WhisperFeatureExtractor
 * computes them but without padding to 30 s: periodic Hann window of 400, centred frames with reflected
 * edges, power spectrum, 128 Slaney mel filters, log10, floor 8 below the maximum of the whole clip.
 *
 * Eight frames go through the transform together: two real frames make one complex signal, and LANES such
 * signals lie side by side, so that every inner loop runs over contiguous doubles with the same factors.
 * Doubles keep rounding noise some 16 decades below the loudest bin, far under the floor; with floats it
 * would show there. */
#include "audio/audio.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

enum {
    LANES = 4,                /* complex signals side by side */
    GROUP_FRAMES = 2 * LANES, /* frame i is the real part of lane i, frame LANES + i its imaginary part */
    TASK_FRAMES = 64,         /* per task: whole groups */
    HALF_WINDOW = MEL_FFT / 2,
    MAX_WEIGHTS = 2 * MEL_SPECTRUM /* a bin lies in two triangles at most */
};

typedef struct mel_filter {
    int first_bin, n_bins, first_weight;
} mel_filter;

struct mel {
    double window[MEL_FFT];
    double cosine[MEL_FFT], sine[MEL_FFT]; /* exp(-2 pi i j / 400) = cosine[j] + i sine[j] */
    mel_filter filters[MEL_BINS];
    float weights[MAX_WEIGHTS]; /* the filters' non-zero weights, one after the other */
};

/* Per thread. */
typedef struct mel_scratch {
    double re[2][MEL_FFT * LANES], im[2][MEL_FFT * LANES]; /* each [MEL_FFT, LANES] */
    double power[MEL_SPECTRUM * GROUP_FRAMES];             /* [MEL_SPECTRUM, GROUP_FRAMES] */
    float max_log;                                         /* of all values this thread has seen */
} mel_scratch;

typedef struct mel_job {
    const mel *m;
    float *out;       /* [MEL_BINS, n_frames] */
    const float *pcm; /* [n_samples] */
    size_t n_samples, n_frames;
    const log_mel *known; /* the first n_copied frames come from there */
    size_t n_copied;
    mel_scratch *scratch; /* [threads] */
    float floor_log;      /* for the second pass */
} mel_job;

/* ---- tables ------------------------------------------------------------------------------ */

/* Slaney's scale: linear below 1000 Hz (mel 15), logarithmic above. */
static double mel_to_hz(double mels) { return mels < 15 ? 200 * mels / 3 : 1000 * exp((mels - 15) * log(6.4) / 27); }

static void fill_filters(mel *m)
{
    const double top_mel = 15 + 27 * log(AUDIO_RATE / 2 / 1000.0) / log(6.4);
    const double hz_per_bin = (double)AUDIO_RATE / MEL_FFT;
    int n_weights = 0;
    for (int i = 0; i < MEL_BINS; i++) {
        double low = mel_to_hz(top_mel * i / (MEL_BINS + 1));
        double mid = mel_to_hz(top_mel * (i + 1) / (MEL_BINS + 1));
        double high = mel_to_hz(top_mel * (i + 2) / (MEL_BINS + 1));
        mel_filter *f = &m->filters[i];
        *f = (mel_filter){ .first_weight = n_weights };
        for (int bin = 0; bin < MEL_SPECTRUM; bin++) {
            double hz = bin * hz_per_bin;
            double height = fmin((hz - low) / (mid - low), (high - hz) / (high - mid));
            if (height <= 0)
                continue;
            if (f->n_bins++ == 0)
                f->first_bin = bin;
            m->weights[n_weights++] = (float)(height * 2 / (high - low)); /* each triangle has area 1 */
        }
    }
}

qasr_status mel_create(mel **out, qasr_error *err)
{
    mel *m;
    TRY(MEM_CALLOC(&m, 1, err));
    for (int i = 0; i < MEL_FFT; i++) {
        double angle = 2 * M_PI * i / MEL_FFT;
        m->window[i] = 0.5 - 0.5 * cos(angle);
        m->cosine[i] = cos(angle);
        m->sine[i] = -sin(angle);
    }
    fill_filters(m);
    *out = m;
    return QASR_OK;
}

void mel_free(mel *m) { mem_free(m); }

void mel_get_filters(const mel *m, float *out)
{
    memset(out, 0, sizeof *out * MEL_BINS * MEL_SPECTRUM);
    for (int i = 0; i < MEL_BINS; i++) {
        const mel_filter *f = &m->filters[i];
        memcpy(out + i * MEL_SPECTRUM + f->first_bin, m->weights + f->first_weight, (size_t)f->n_bins * sizeof *out);
    }
}

void mel_get_window(const mel *m, float *out)
{
    for (int i = 0; i < MEL_FFT; i++)
        out[i] = (float)m->window[i];
}

size_t mel_frames(size_t n_samples) { return n_samples / MEL_HOP; }

/* ---- DFT of 400 points ------------------------------------------------------------------- */

/* Twiddle factors of one butterfly: output k is multiplied by re[k] + i im[k]. */
typedef struct twiddles {
    double re[5], im[5];
} twiddles;

/* Butterflies of a Stockham pass: inputs lie `step` apart, outputs `run` apart; `run` butterflies side by
 * side with the same factors. */
static void butterfly_4(double *restrict yr, double *restrict yi, const double *restrict xr, const double *restrict xi,
                        size_t step, size_t run, const twiddles *w)
{
    const double w1r = w->re[1], w1i = w->im[1], w2r = w->re[2], w2i = w->im[2];
    const double w3r = w->re[3], w3i = w->im[3];
    for (size_t i = 0; i < run; i++) {
        double sum02r = xr[i] + xr[2 * step + i], sum02i = xi[i] + xi[2 * step + i];
        double dif02r = xr[i] - xr[2 * step + i], dif02i = xi[i] - xi[2 * step + i];
        double sum13r = xr[step + i] + xr[3 * step + i], sum13i = xi[step + i] + xi[3 * step + i];
        double dif13r = xr[step + i] - xr[3 * step + i], dif13i = xi[step + i] - xi[3 * step + i];
        double y1r = dif02r + dif13i, y1i = dif02i - dif13r;
        double y2r = sum02r - sum13r, y2i = sum02i - sum13i;
        double y3r = dif02r - dif13i, y3i = dif02i + dif13r;
        yr[i] = sum02r + sum13r;
        yi[i] = sum02i + sum13i;
        yr[run + i] = y1r * w1r - y1i * w1i;
        yi[run + i] = y1r * w1i + y1i * w1r;
        yr[2 * run + i] = y2r * w2r - y2i * w2i;
        yi[2 * run + i] = y2r * w2i + y2i * w2r;
        yr[3 * run + i] = y3r * w3r - y3i * w3i;
        yi[3 * run + i] = y3r * w3i + y3i * w3r;
    }
}

static void butterfly_5(double *restrict yr, double *restrict yi, const double *restrict xr, const double *restrict xi,
                        size_t step, size_t run, const twiddles *w)
{
    /* cos and sin of 2 pi / 5 and 4 pi / 5 */
    const double c1 = 0.30901699437494742410, s1 = 0.95105651629515357212;
    const double c2 = -0.80901699437494742410, s2 = 0.58778525229247312917;
    const double w1r = w->re[1], w1i = w->im[1], w2r = w->re[2], w2i = w->im[2];
    const double w3r = w->re[3], w3i = w->im[3], w4r = w->re[4], w4i = w->im[4];
    for (size_t i = 0; i < run; i++) {
        double sum14r = xr[step + i] + xr[4 * step + i], sum14i = xi[step + i] + xi[4 * step + i];
        double dif14r = xr[step + i] - xr[4 * step + i], dif14i = xi[step + i] - xi[4 * step + i];
        double sum23r = xr[2 * step + i] + xr[3 * step + i], sum23i = xi[2 * step + i] + xi[3 * step + i];
        double dif23r = xr[2 * step + i] - xr[3 * step + i], dif23i = xi[2 * step + i] - xi[3 * step + i];
        /* outputs 1 and 4 are even1 -+ i odd1, outputs 2 and 3 even2 -+ i odd2 */
        double even1r = xr[i] + c1 * sum14r + c2 * sum23r, even1i = xi[i] + c1 * sum14i + c2 * sum23i;
        double even2r = xr[i] + c2 * sum14r + c1 * sum23r, even2i = xi[i] + c2 * sum14i + c1 * sum23i;
        double odd1r = s1 * dif14r + s2 * dif23r, odd1i = s1 * dif14i + s2 * dif23i;
        double odd2r = s2 * dif14r - s1 * dif23r, odd2i = s2 * dif14i - s1 * dif23i;
        double y1r = even1r + odd1i, y1i = even1i - odd1r;
        double y2r = even2r + odd2i, y2i = even2i - odd2r;
        double y3r = even2r - odd2i, y3i = even2i + odd2r;
        double y4r = even1r - odd1i, y4i = even1i + odd1r;
        yr[i] = xr[i] + sum14r + sum23r;
        yi[i] = xi[i] + sum14i + sum23i;
        yr[run + i] = y1r * w1r - y1i * w1i;
        yi[run + i] = y1r * w1i + y1i * w1r;
        yr[2 * run + i] = y2r * w2r - y2i * w2i;
        yi[2 * run + i] = y2r * w2i + y2i * w2r;
        yr[3 * run + i] = y3r * w3r - y3i * w3i;
        yi[3 * run + i] = y3r * w3i + y3i * w3r;
        yr[4 * run + i] = y4r * w4r - y4i * w4i;
        yi[4 * run + i] = y4r * w4i + y4i * w4r;
    }
}

/* One Stockham pass from buffer `from` to the other: splits `done` interleaved transforms of `left` points
 * each (done * left = MEL_FFT) into done * radix transforms of left / radix points. */
static void dft_pass(const mel *m, mel_scratch *s, int from, size_t done, size_t left, size_t radix)
{
    const size_t step = MEL_FFT / radix * LANES, run = done * LANES;
    for (size_t p = 0; p < left / radix; p++) {
        twiddles w;
        for (size_t k = 0; k < radix; k++) {
            w.re[k] = m->cosine[p * k * done];
            w.im[k] = m->sine[p * k * done];
        }
        (radix == 4 ? butterfly_4 : butterfly_5)(s->re[!from] + p * radix * run, s->im[!from] + p * radix * run,
                                                 s->re[from] + p * run, s->im[from] + p * run, step, run, &w);
    }
}

/* DFT of the LANES complex signals in re[0], im[0], result in the same place, in natural order. */
static void dft_400(const mel *m, mel_scratch *s)
{
    dft_pass(m, s, 0, 1, 400, 5);
    dft_pass(m, s, 1, 5, 80, 5);
    dft_pass(m, s, 0, 25, 16, 4);
    dft_pass(m, s, 1, 100, 4, 4);
}

/* ---- frames ------------------------------------------------------------------------------ */

/* Frame t is centred on sample MEL_HOP * t; beyond the ends the signal is reflected without repeating the
 * end sample. Frames from n_frames on (the rest of the last group) are silent. to: stride LANES. */
static void load_frame(const mel_job *job, size_t t, double *to)
{
    const double *window = job->m->window;
    if (t >= job->n_frames) {
        for (size_t i = 0; i < MEL_FFT; i++)
            to[i * LANES] = 0;
        return;
    }
    const size_t first = t * MEL_HOP; /* in the padded signal */
    for (size_t i = 0; i < MEL_FFT; i++) {
        size_t at = first + i, last = HALF_WINDOW + job->n_samples - 1;
        size_t sample = at < HALF_WINDOW ? HALF_WINDOW - at
                        : at <= last     ? at - HALF_WINDOW
                                         : 2 * last - at - HALF_WINDOW;
        to[i * LANES] = job->pcm[sample] * window[i];
    }
}

/* |X_k|^2 of both frames in every lane. With Z the DFT of a + i b: 2 A_k = Z_k + conj Z_-k and
 * 2 i B_k = Z_k - conj Z_-k. */
static void power_spectrum(mel_scratch *s)
{
    for (size_t k = 0; k < MEL_SPECTRUM; k++) {
        const size_t mirrored = (MEL_FFT - k) % MEL_FFT;
        const double *zr = s->re[0] + k * LANES, *zi = s->im[0] + k * LANES;
        const double *cr = s->re[0] + mirrored * LANES, *ci = s->im[0] + mirrored * LANES;
        double *power = s->power + k * GROUP_FRAMES;
        for (size_t i = 0; i < LANES; i++) {
            double ar = zr[i] + cr[i], ai = zi[i] - ci[i], br = zi[i] + ci[i], bi = zr[i] - cr[i];
            power[i] = 0.25 * (ar * ar + ai * ai);
            power[LANES + i] = 0.25 * (br * br + bi * bi);
        }
    }
}

/* Writes the logarithms of n_valid frames, from frame t0 on, into all rows of the output. */
static void write_log_mel(const mel_job *job, mel_scratch *s, size_t t0, size_t n_valid)
{
    for (size_t row = 0; row < MEL_BINS; row++) {
        const mel_filter *f = &job->m->filters[row];
        double sum[GROUP_FRAMES] = { 0 };
        for (int j = 0; j < f->n_bins; j++) {
            const double weight = job->m->weights[f->first_weight + j];
            const double *power = s->power + (size_t)(f->first_bin + j) * GROUP_FRAMES;
            for (size_t i = 0; i < GROUP_FRAMES; i++)
                sum[i] += weight * power[i];
        }
        float *out = job->out + row * job->n_frames + t0;
        for (size_t i = 0; i < n_valid; i++) {
            out[i] = (float)log10(fmax(sum[i], 1e-10));
            s->max_log = fmaxf(s->max_log, out[i]);
        }
    }
}

static void run_frames(void *arg, size_t task, unsigned thread)
{
    const mel_job *job = arg;
    mel_scratch *s = &job->scratch[thread];
    size_t begin = job->n_copied + task * TASK_FRAMES, end = begin + TASK_FRAMES;
    if (end > job->n_frames)
        end = job->n_frames;
    for (size_t t = begin; t < end; t += GROUP_FRAMES) {
        for (size_t i = 0; i < LANES; i++) {
            load_frame(job, t + i, s->re[0] + i);
            load_frame(job, t + LANES + i, s->im[0] + i);
        }
        dft_400(job->m, s);
        power_spectrum(s);
        write_log_mel(job, s, t, end - t < GROUP_FRAMES ? end - t : GROUP_FRAMES);
    }
}

static void scale_row(void *arg, size_t row, unsigned thread)
{
    (void)thread;
    const mel_job *job = arg;
    float *out = job->out + row * job->n_frames;
    for (size_t t = 0; t < job->n_frames; t++)
        out[t] = (fmaxf(out[t], job->floor_log) + 4) / 4;
}

/* Frames of known logs that are those of pcm [n_samples], too. The last frames see the end of the samples, where the
 * signal is reflected; a frame that shares its transform with one of them may differ in the last bit. */
static size_t count_common_frames(size_t n_samples)
{
    size_t n_inside = n_samples < MEL_FFT - HALF_WINDOW ? 0 : (n_samples - (MEL_FFT - HALF_WINDOW)) / MEL_HOP + 1;
    return n_inside / GROUP_FRAMES * GROUP_FRAMES;
}

static void copy_row(void *arg, size_t row, unsigned thread)
{
    const mel_job *job = arg;
    const float *from = job->known->values + row * job->known->n_frames;
    float *out = job->out + row * job->n_frames, *max_log = &job->scratch[thread].max_log;
    for (size_t t = 0; t < job->n_copied; t++) {
        out[t] = from[t];
        *max_log = fmaxf(*max_log, from[t]);
    }
}

/* All frames before normalization, and what their values are to be limited to. */
static qasr_status fill_logs(mel_job *job, pool *p, qasr_error *err)
{
    const unsigned n_threads = pool_threads(p);
    if (job->n_samples <= HALF_WINDOW)
        return error_set(err, QASR_E_INVALID, "audio of %zu samples is too short for features, expected more than %d",
                         job->n_samples, HALF_WINDOW);
    TRY(MEM_ALLOC(&job->scratch, n_threads, err));
    for (unsigned i = 0; i < n_threads; i++)
        job->scratch[i].max_log = -10; /* the smallest there is: log10(1e-10) */
    if (job->n_copied)
        pool_run(p, copy_row, job, MEL_BINS);
    pool_run(p, run_frames, job, (job->n_frames - job->n_copied + TASK_FRAMES - 1) / TASK_FRAMES);
    float max_log = -10;
    for (unsigned i = 0; i < n_threads; i++)
        max_log = fmaxf(max_log, job->scratch[i].max_log); /* a maximum does not depend on the order */
    mem_free(job->scratch);
    job->floor_log = max_log - 8;
    return QASR_OK;
}

qasr_status mel_compute_known(const mel *m, float *out, const log_mel *known, const float *pcm, size_t n_samples,
                              pool *p, qasr_error *err)
{
    mel_job job = { .m = m,
                    .out = out,
                    .pcm = pcm,
                    .n_samples = n_samples,
                    .n_frames = mel_frames(n_samples),
                    .known = known,
                    .n_copied = known->values ? count_common_frames(n_samples) : 0 };
    assert(job.n_copied <= known->n_frames);
    TRY(fill_logs(&job, p, err));
    pool_run(p, scale_row, &job, MEL_BINS);
    return QASR_OK;
}

qasr_status mel_compute(const mel *m, float *out, const float *pcm, size_t n_samples, pool *p, qasr_error *err)
{
    return mel_compute_known(m, out, &(log_mel){ 0 }, pcm, n_samples, p, err);
}

qasr_status mel_compute_logs(const mel *m, log_mel *out, const float *pcm, size_t n_samples, pool *p, qasr_error *err)
{
    mel_job job = { .m = m, .pcm = pcm, .n_samples = n_samples, .n_frames = mel_frames(n_samples) };
    TRY(MEM_ALLOC(&job.out, MEL_BINS * job.n_frames, err));
    qasr_status status = fill_logs(&job, p, err);
    if (status != QASR_OK) {
        mem_free(job.out);
        return status;
    }
    *out = (log_mel){ job.out, job.n_frames };
    return QASR_OK;
}

void log_mel_free(log_mel *l)
{
    mem_free(l->values);
    *l = (log_mel){ 0 };
}
