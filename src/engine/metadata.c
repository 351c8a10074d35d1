/* Keys that every file has: where it comes from and what it holds. */
#include "engine/metadata.h"

#include <stdlib.h>

#include "base/mem.h"

/* Last component of a path after links and dots are resolved ("." has a name too). */
static qasr_status resolved_name(char **out, const char *path, qasr_error *err)
{
    char *full = realpath(path, NULL);
    qasr_status status = mem_strdup(out, file_base_name(full ? full : path), err);
    free(full);
    return status;
}

/* The model's name, if the input has one, else that of its directory. */
static qasr_status add_name(gguf_writer *g, const origin *o, qasr_error *err)
{
    const wmeta *name = weights_kind(o->w) == WEIGHTS_GGUF ? weights_meta_find(o->w, "general.name") : NULL;
    if (name && name->type == WMETA_STRING)
        return gguf_writer_meta_copy(g, name, err);
    char *dir;
    TRY(resolved_name(&dir, o->dir, err));
    qasr_status status = gguf_writer_meta_str(g, "general.name", dir, err);
    mem_free(dir);
    return status;
}

static qasr_status add_source(gguf_writer *g, const origin *o, qasr_error *err)
{
    char *name;
    TRY(resolved_name(&name, o->path, err));
    qasr_status status = gguf_writer_meta_str(g, "qasr.source", name, err);
    mem_free(name);
    return status;
}

qasr_status metadata_add(gguf_writer *g, const origin *o, const plan_rules *rules, const char *architecture, qasr_error *err)
{
    TRY(gguf_writer_meta_str(g, "general.architecture", architecture, err));
    TRY(add_name(g, o, err));
    TRY(add_source(g, o, err));
    TRY(gguf_writer_meta_u32(g, "general.file_type", rules->decoder.file_type, err));
    TRY(gguf_writer_meta_u32(g, "general.quantization_version", 2, err));
    TRY(gguf_writer_meta_u32(g, "general.alignment", 32, err));
    TRY(gguf_writer_meta_str(g, "qasr.version", QASR_VERSION_STRING, err));
    TRY(gguf_writer_meta_str(g, "qasr.scope", rules->scope, err));
    TRY(gguf_writer_meta_str(g, "qasr.qtype", rules->decoder.name, err));
    return o->config ? gguf_writer_meta_str(g, "qasr.config", o->config, err) : QASR_OK;
}
