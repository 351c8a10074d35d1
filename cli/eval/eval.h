/* The parts of 'qasr eval' and 'qasr score': cmd_eval.c and cmd_score.c are the commands, eval_run.c transcribes and
 * compares models, eval_details.c stores results clip by clip, eval_sum.c computes the metrics, eval_out.c writes them
 * (docs/evaluation.md). */
#ifndef QASR_CLI_EVAL_EVAL_H
#define QASR_CLI_EVAL_EVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cli/eval/texts.h"
#include "qasr/qasr_tools.h"

enum { EVAL_FIRST = 32 }; /* leading tokens that first32_agreement compares */

typedef struct eval_answer {
    char *text;     /* NULL: none yet */
    char *language; /* NULL: unknown */
    bool looped, truncated;
} eval_answer;

/* The model's next-token distributions against the baseline's along the baseline's answer. */
typedef struct eval_teacher_forcing {
    double *kl;               /* [n], nats; NULL: no teacher forcing for this clip */
    size_t n;                 /* positions: the answer's tokens and the end token */
    uint64_t n_same;          /* positions with the same most probable token */
    double nll, baseline_nll; /* sums over the positions of -log of the probability of the baseline's token */
} eval_teacher_forcing;

typedef struct eval_clip {
    const file_text *reference;
    char *path; /* of the audio; NULL for transcripts from elsewhere */
    bool done;
    eval_answer answer, baseline;
    bool changed;                 /* output ids differ from the baseline's */
    uint64_t first_same, first_n; /* of the baseline's first first_n ids (at most EVAL_FIRST), the model's answer begins
                                     with first_same */
    eval_teacher_forcing forced;
    qasr_score score, to_baseline; /* of the answer, against the reference and the baseline's text */
} eval_clip;

typedef struct eval_set {
    eval_clip *clips; /* in the order of the references */
    size_t n;
    bool with_model, with_baseline;
} eval_set;

/* The settings of an evaluation, in display order. */
typedef struct eval_setting {
    const char *key, *value;
} eval_setting;
typedef struct eval_settings {
    eval_setting items[16];
    size_t n;
} eval_settings;
void eval_add_setting(eval_settings *s, const char *key, const char *value);

/* ---- eval_sum.c ---- */

/* Selects the first limit references (0: all) whose file does not match exclude (NULL: none). False without memory, or
 * if none is left (printed). */
bool eval_select(eval_set *set, const text_list *references, int limit, const char *exclude);
void eval_free(eval_set *set);
/* Scores a clip whose answers are known, and marks it as done. False on error (printed). */
bool eval_score(eval_clip *clip);

/* What the error rate of some clips counts: words, or for some languages characters. */
typedef enum eval_unit { EVAL_WORD, EVAL_CHARACTER, EVAL_MIXED } eval_unit;

/* Shares are from 0 to 1 (error rates may be above); NAN: unknown. */
typedef struct eval_metrics {
    uint64_t clips;
    eval_unit error_unit;
    double error_rate, error_rate_ci[2];
    double wer, wer_ci[2], cer, cer_ci[2], cer_normalized, language_accuracy, punctuation_f1, casing_accuracy, exact;
    uint64_t empty, looped, truncated;
    uint64_t changed, forced_clips, positions;
    double wer_to_baseline, cer_to_baseline, top1, first, kl_mean, kl_mean_ci[2], kl_p95, kl_max, perplexity_ratio;
} eval_metrics;

typedef struct eval_row {
    const char *name; /* NULL: all clips; else a language */
    eval_metrics metrics;
} eval_row;

typedef struct eval_report {
    const eval_settings *settings;
    eval_row *rows; /* all, then each language in the order of its first clip */
    size_t n_rows;
    bool with_model, with_baseline;
} eval_report;

/* False without memory (printed). Free the rows with free. */
bool eval_summarize(eval_report *report, const eval_set *set, const eval_settings *settings);

/* ---- eval_details.c ---- */

/* Opens the details file: one JSON object per line, the first with the settings. With resume, clips of the set that are
 * already in it get their answers and are done; a truncated last line is removed. No other run can use the file until
 * it is closed. NULL on error (printed). */
FILE *details_open(const char *path, bool resume, const eval_settings *settings, eval_set *set);
/* Writes a finished clip; token ids come from the results (NULL: none). False on error (printed). */
bool details_write(FILE *f, const char *path, const eval_clip *clip, const qasr_result *result,
                   const qasr_result *baseline);

/* ---- eval_run.c ---- */

typedef struct eval_model {
    const char *path;
    qasr_model_options options;
    qasr_session_options session_options;
    qasr_model *model;
    qasr_session *session;
} eval_model;
#define EVAL_MODEL_INIT                                                                                                \
    {                                                                                                                  \
        .options = QASR_MODEL_OPTIONS_INIT, .session_options = QASR_SESSION_OPTIONS_INIT                               \
    }

typedef struct eval_job {
    eval_set *set;
    eval_model model, baseline; /* baseline.path NULL: no baseline */
    int quiet;
    qasr_transcribe_options options;
    FILE *details; /* NULL: none */
    const char *details_path;
} eval_job;

/* False on error (printed); call eval_close_models in any case. */
bool eval_open_models(eval_job *job);
void eval_close_models(eval_job *job);
/* Runs the clips that are not done. False on error (printed). */
bool eval_run(eval_job *job);

/* ---- eval_out.c ---- */

typedef void (*eval_format)(FILE *f, const eval_report *report);
void eval_write_md(FILE *f, const eval_report *report);
void eval_write_json(FILE *f, const eval_report *report);
/* Computes the summary and writes it to a file or standard output (out.h). False on error (printed). */
bool eval_write(const eval_set *set, const eval_settings *settings, eval_format format, const char *output);

#endif
