/* See files.h. Metadata decides the kind of a file. Names only choose between several candidates. */
#include "model/files.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "model/config.h"
#include "quant/mix.h"
#include "weights/gguf_format.h"
#include "weights/gguf_read.h"

#define MMPROJ_PATTERN "mmproj*.gguf"

/* ---- a GGUF decoder for safetensors ----------------------------------------------------------------- */

/* *out: the path of DIR/model-NAME.gguf, or of DIR/model.gguf if name is NULL, or of the first part of such a file in
 * several; NULL if there is none. */
static qasr_status find_named(char **out, const char *dir, const char *name, qasr_error *err)
{
    char file[64], parts[sizeof file + sizeof "-00001-of-[0-9][0-9][0-9][0-9][0-9].gguf"];
    file_names list;
    snprintf(file, sizeof file, name ? "model-%s" : "model", name);
    snprintf(parts, sizeof parts, "%s-00001-of-[0-9][0-9][0-9][0-9][0-9].gguf", file);
    strcat(file, ".gguf");
    TRY(file_path_join(out, dir, file, err));
    if (file_exists(*out))
        return QASR_OK;
    mem_free(*out);
    *out = NULL;
    qasr_status status = file_list(&list, dir, parts, err);
    if (status == QASR_E_IO) /* files can be opened in a directory that cannot be listed */
        status = QASR_OK;
    else if (status == QASR_OK && list.n > 0)
        status = file_path_join(out, dir, list.names[0], err);
    file_names_free(&list);
    return status;
}

/* Tries the names of all types and mixes in the order of quant/mix.c, then the name without a type. *out NULL: none. */
static qasr_status find_decoder(char **out, const char *dir, qasr_error *err)
{
    for (size_t i = 0; i < quant_mix_count() && !*out; i++) {
        const quant_mix *mix = quant_mix_at(i);
        const char *alias = mix->is_mix ? NULL : quant_alias(mix->matrix);
        if (alias)
            TRY(find_named(out, dir, alias, err));
        if (!*out)
            TRY(find_named(out, dir, mix->name, err));
    }
    return *out ? QASR_OK : find_named(out, dir, NULL, err);
}

static qasr_status report_no_decoder(const char *dir, qasr_error *err)
{
    char names[128];
    size_t n = 0;
    for (size_t i = 0; i < quant_mix_count() && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i ? ", " : "", quant_mix_at(i)->name);
    return error_set(
        err, QASR_E_IO,
        "'%s' has no GGUF file for the decoder (model.gguf, or model-TYPE.gguf with a type of %s); make one "
        "with: qasr quantize",
        dir, names);
}

qasr_status files_choose_decoder(char **out, const char *dir, qasr_decoder_weights decoder, const char *name,
                                 qasr_error *err)
{
    *out = NULL;
    if (decoder == QASR_DECODER_SAFETENSORS) {
        if (name)
            return error_set(err, QASR_E_INVALID,
                             "decoder file '%s' is given, but safetensors are selected for the decoder", name);
        return QASR_OK;
    }
    if (name) {
        TRY(file_path_join(out, dir, name, err));
        if (file_exists(*out))
            return QASR_OK;
        error_set(err, QASR_E_IO, "decoder file '%s' does not exist", *out);
        mem_free(*out);
        *out = NULL;
        return QASR_E_IO;
    }
    TRY(find_decoder(out, dir, err));
    return *out || decoder == QASR_DECODER_AUTO ? QASR_OK : report_no_decoder(dir, err);
}

/* ---- candidates ------------------------------------------------------------------------------------- */

/* A search for GGUF files of a wanted kind in a directory. The best one stays open. */
typedef struct search {
    const char *dir;
    bool (*wanted)(gguf_kind kind);
    const char *like; /* the best name shares the longest prefix with this; NULL: all are equal */
    weights *best;
    size_t n, n_best; /* files found; files as good as best */
    size_t best_likeness;
    char names[240]; /* of the files found, for messages */
    bool names_cut;  /* the list was truncated */
    qasr_error first_error;
} search;

static bool is_text(gguf_kind kind) { return kind == GGUF_TEXT; }
static bool is_mmproj(gguf_kind kind) { return kind == GGUF_MMPROJ; }
static bool is_model(gguf_kind kind) { return kind == GGUF_WHOLE || kind == GGUF_TEXT; }

/* "mmproj-Qwen3-ASR-0.6B-f16.gguf" belongs to "Qwen3-ASR-0.6B-Q8_0.gguf". */
static const char *stem_of(const char *name)
{
    static const char prefix[] = "mmproj-";
    return strncmp(name, prefix, sizeof prefix - 1) == 0 ? name + sizeof prefix - 1 : name;
}

static size_t likeness(const char *a, const char *b)
{
    size_t n = 0;
    for (a = stem_of(a), b = stem_of(b); a[n] && a[n] == b[n];)
        n++;
    return n;
}

static void add_name(search *s, const char *name)
{
    static const char left_out[] = ", ...";
    size_t used = strlen(s->names), room = sizeof s->names - used;
    s->n++;
    if (s->names_cut)
        return;
    s->names_cut = strlen(name) + sizeof ", ''" + sizeof left_out > room;
    if (s->names_cut)
        snprintf(s->names + used, room, "%s", left_out);
    else
        snprintf(s->names + used, room, "%s'%s'", used ? ", " : "", name);
}

/* Takes ownership of w. */
static void consider(search *s, weights *w, const char *name)
{
    size_t alike = s->like ? likeness(name, s->like) : 0;
    add_name(s, name);
    if (s->best && alike <= s->best_likeness) {
        s->n_best += alike == s->best_likeness;
        weights_close(w);
        return;
    }
    weights_close(s->best);
    s->best = w;
    s->best_likeness = alike;
    s->n_best = 1;
}

/* Unreadable files are not candidates; the first error is reported if there are no others. */
static qasr_status look_at(search *s, const char *name, qasr_error *err)
{
    char *path;
    weights *w = NULL;
    qasr_error why = { .status = QASR_OK };
    TRY(file_path_join(&path, s->dir, name, err));
    bool known = gguf_is_later_part(path); /* of a candidate */
    qasr_status status = known ? QASR_OK : weights_open_gguf(&w, path, &why);
    mem_free(path);
    if (known)
        return QASR_OK;
    if (status == QASR_E_NOMEM)
        return error_set(err, status, "%s", why.message);
    if (status != QASR_OK)
        s->first_error = s->first_error.status ? s->first_error : why;
    else if (s->wanted(config_gguf_kind(w)))
        consider(s, w, name);
    else
        weights_close(w);
    return QASR_OK;
}

/* The caller closes s->best, after an error too. */
static qasr_status search_dir(search *s, const char *pattern, qasr_error *err)
{
    file_names list;
    qasr_status status = file_list(&list, s->dir, pattern, err);
    for (size_t i = 0; i < list.n && status == QASR_OK; i++)
        status = look_at(s, list.names[i], err);
    file_names_free(&list);
    return status;
}

/* ---- llama.cpp's pair ------------------------------------------------------------------------------- */

static qasr_status judge_mates(const search *s, const char *path, qasr_error *err)
{
    bool text = s->wanted == is_text;
    if (s->n == 0 && s->first_error.status)
        return error_set(err, s->first_error.status, "%s", s->first_error.message);
    if (s->n == 0 && text)
        return error_set(err, QASR_E_IO,
                         "'%s' holds only the encoder, and there is no text model (architecture qwen3vl) next to it; "
                         "pass the text model as the model and this file as its mmproj",
                         path);
    if (s->n == 0)
        return error_set(err, QASR_E_IO,
                         "'%s' holds only the text model, and there is no " MMPROJ_PATTERN
                         " with the encoder next to it; "
                         "pass it as the mmproj",
                         path);
    if (s->n_best > 1)
        return error_set(err, QASR_E_INVALID, "'%.150s' matches several files: %s; %s", path, s->names,
                         text ? "pass one of them as the model and this file as its mmproj" : "pass one as the mmproj");
    return QASR_OK;
}

/* Opens the other half of llama.cpp's pair, in the directory of the file at path. */
static qasr_status find_mate(weights **out, const char *path, bool (*wanted)(gguf_kind), qasr_error *err)
{
    char *dir;
    TRY(file_parent(&dir, path, err));
    search s = { .dir = dir, .wanted = wanted, .like = file_base_name(path) };
    qasr_status status = search_dir(&s, wanted == is_mmproj ? MMPROJ_PATTERN : "*.gguf", err);
    if (status == QASR_OK)
        status = judge_mates(&s, path, err);
    if (status == QASR_OK)
        *out = s.best;
    else
        weights_close(s.best);
    mem_free(dir);
    return status;
}

static qasr_status open_mmproj(weights **out, const char *path, qasr_error *err)
{
    weights *w;
    TRY(weights_open_gguf(&w, path, err));
    if (config_gguf_kind(w) == GGUF_MMPROJ) {
        *out = w;
        return QASR_OK;
    }
    error_set(err, QASR_E_UNSUPPORTED,
              "'%s' has architecture '%.40s', expected an mmproj file: 'clip' with audio projector 'qwen3a'", path,
              weights_meta_string(w, "general.architecture"));
    weights_close(w);
    return QASR_E_UNSUPPORTED;
}

/* ---- complete models -------------------------------------------------------------------------------- */

static qasr_status refuse_kind(const weights *w, gguf_kind kind, qasr_error *err)
{
    const char *path = weights_file_path(w, 0);
    if (strcmp(weights_meta_string(w, "general.type"), GGUF_TYPE_IMATRIX) == 0)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "'%s' has calibration statistics, not weights; it is for the quantizer", path);
    if (kind == GGUF_DECODER)
        return error_set(err, QASR_E_UNSUPPORTED,
                         "'%s' has no configuration: it is a decoder for a model directory; pass "
                         "the directory as the model and this file as its decoder GGUF",
                         path);
    return error_set(err, QASR_E_UNSUPPORTED,
                     "'%s' has architecture '%.40s', expected 'qwen3_asr' (transcribe.cpp), 'qwen3asr' "
                     "(CrispASR), or 'qwen3vl' with an mmproj file (llama.cpp)",
                     path, weights_meta_string(w, "general.architecture"));
}

/* Opens the other half of w if it is a pair. w becomes *encoder, *decoder, or both. */
static qasr_status complete(weights **encoder, weights **decoder, weights *w, const char *mmproj, qasr_error *err)
{
    gguf_kind kind = config_gguf_kind(w);
    const char *path = weights_file_path(w, 0);
    *encoder = *decoder = NULL;
    if (kind == GGUF_TEXT)
        TRY(mmproj ? open_mmproj(encoder, mmproj, err) : find_mate(encoder, path, is_mmproj, err));
    else if (mmproj && (kind == GGUF_MMPROJ || kind == GGUF_WHOLE))
        return error_set(err, QASR_E_INVALID,
                         "'%s' already holds an encoder: only a text model can be combined with '%s'", path, mmproj);
    else if (kind == GGUF_MMPROJ)
        TRY(find_mate(decoder, path, is_text, err));
    else if (kind != GGUF_WHOLE)
        return refuse_kind(w, kind, err);
    *encoder = *encoder ? *encoder : w;
    *decoder = *decoder ? *decoder : w;
    return QASR_OK;
}

qasr_status files_open_gguf(weights **encoder, weights **decoder, const char *path, const char *mmproj, qasr_error *err)
{
    weights *w;
    TRY(weights_open_gguf(&w, path, err));
    qasr_status status = complete(encoder, decoder, w, mmproj, err);
    if (status != QASR_OK)
        weights_close(w);
    return status;
}

qasr_status files_open_gguf_dir(weights **encoder, weights **decoder, bool *found, const char *dir, const char *mmproj,
                                qasr_error *err)
{
    search s = { .dir = dir, .wanted = is_model };
    qasr_status status = search_dir(&s, "*.gguf", err);
    if (status == QASR_OK && s.n > 1)
        status = error_set(err, QASR_E_INVALID, "'%.150s' holds several models: %s; pass one of them as the model", dir,
                           s.names);
    else if (status == QASR_OK && s.n == 0 && s.first_error.status)
        status = error_set(err, s.first_error.status, "%s", s.first_error.message);
    else if (status == QASR_OK && s.n == 1)
        status = complete(encoder, decoder, s.best, mmproj, err);
    *found = status == QASR_OK && s.n == 1;
    if (!*found)
        weights_close(s.best);
    return status;
}
