/* See metadata.h. */
#include "quantize/metadata.h"

#include "base/mem.h"
#include "model/config.h"
#include "weights/gguf_write.h"

static qasr_status add_source(gguf_writer *g, const input_model *in, qasr_error *err)
{
    char *name;
    TRY(file_resolved_name(&name, in->path, err));
    qasr_status status = gguf_writer_meta_str(g, "qasr.source", name, err);
    mem_free(name);
    return status;
}

qasr_status metadata_add(gguf_writer *g, const input_model *in, const plan_rules *rules, const char *architecture,
                         qasr_error *err)
{
    TRY(gguf_writer_meta_str(g, "general.architecture", architecture, err));
    TRY(gguf_writer_meta_str(g, "general.name", in->name, err));
    TRY(add_source(g, in, err));
    TRY(gguf_writer_meta_u32(g, "general.file_type", quant_get(rules->decoder.matrix)->file_type, err));
    TRY(gguf_writer_meta_u32(g, "general.quantization_version", 2, err));
    TRY(gguf_writer_meta_u32(g, "general.alignment", 32, err));
    TRY(gguf_writer_meta_str(g, "qasr.version", QASR_VERSION_STRING, err));
    TRY(gguf_writer_meta_str(g, "qasr.scope", rules->scope, err));
    TRY(gguf_writer_meta_str(g, "qasr.qtype", rules->decoder.name, err));
    if (in->segment_seconds > 0)
        TRY(gguf_writer_meta_f32(g, CONFIG_SEGMENT_SECONDS, (float)in->segment_seconds, err));
    return in->config ? gguf_writer_meta_str(g, "qasr.config", in->config, err) : QASR_OK;
}
