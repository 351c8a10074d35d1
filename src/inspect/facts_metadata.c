/* See facts.h: metadata keys of GGUF files and safetensors, arrays shortened to their first elements. */
#include <inttypes.h>
#include <string.h>

#include "inspect/facts.h"

enum { MAX_SHOWN_ELEMS = 6 }; /* of an array */

static qasr_status print_strings(buf *out, const wmeta *m, qasr_error *err)
{
    uint64_t pos = 0;
    const char *s;
    size_t len;
    for (int i = 0; i < MAX_SHOWN_ELEMS && wmeta_next_string(m, &pos, &s, &len); i++) {
        TRY(buf_add_str(out, i ? ", '" : "'", err));
        TRY(facts_clean(out, s, len, err));
        TRY(buf_add_str(out, "'", err));
    }
    return m->n_elems > MAX_SHOWN_ELEMS ? buf_add_str(out, ", ...", err) : QASR_OK;
}

static uint64_t little_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static qasr_status print_number(buf *out, wmeta_type type, const unsigned char *p, qasr_error *err)
{
    float f;
    double d;
    switch (type) {
    case WMETA_U8: return buf_printf(out, err, "%u", p[0]);
    case WMETA_I8: return buf_printf(out, err, "%d", (int8_t)p[0]);
    case WMETA_BOOL: return buf_add_str(out, p[0] ? "true" : "false", err);
    case WMETA_U16: return buf_printf(out, err, "%u", (unsigned)little_endian(p, 2));
    case WMETA_I16: return buf_printf(out, err, "%d", (int16_t)little_endian(p, 2));
    case WMETA_U32: return buf_printf(out, err, "%" PRIu32, (uint32_t)little_endian(p, 4));
    case WMETA_I32: return buf_printf(out, err, "%" PRId32, (int32_t)little_endian(p, 4));
    case WMETA_U64: return buf_printf(out, err, "%" PRIu64, little_endian(p, 8));
    case WMETA_I64: return buf_printf(out, err, "%" PRId64, (int64_t)little_endian(p, 8));
    case WMETA_F32: memcpy(&f, p, sizeof f); return buf_printf(out, err, "%g", (double)f);
    case WMETA_F64: memcpy(&d, p, sizeof d); return buf_printf(out, err, "%g", d);
    default: return QASR_OK;
    }
}

static qasr_status print_array(buf *out, const wmeta *m, qasr_error *err)
{
    TRY(buf_printf(out, err, "[%" PRIu64 "] ", m->n_elems));
    if (m->elem_type == WMETA_STRING)
        return print_strings(out, m, err);
    if (m->n_elems == 0)
        return QASR_OK;
    size_t size = (size_t)(m->elems_bytes / m->n_elems);
    for (uint64_t i = 0; i < m->n_elems && i < MAX_SHOWN_ELEMS; i++) {
        TRY(buf_add_str(out, i ? ", " : "", err));
        TRY(print_number(out, m->elem_type, m->elems + i * size, err));
    }
    return m->n_elems > MAX_SHOWN_ELEMS ? buf_add_str(out, ", ...", err) : QASR_OK;
}

static qasr_status print_meta(buf *out, const wmeta *m, qasr_error *err)
{
    switch (m->type) {
    case WMETA_STRING: return facts_clean(out, m->str, m->str_len, err);
    case WMETA_ARRAY: return print_array(out, m, err);
    case WMETA_BOOL: return buf_add_str(out, m->as.b ? "true" : "false", err);
    case WMETA_F32:
    case WMETA_F64: return buf_printf(out, err, "%g", m->as.f);
    case WMETA_I8:
    case WMETA_I16:
    case WMETA_I32:
    case WMETA_I64: return buf_printf(out, err, "%" PRId64, m->as.i);
    default: return buf_printf(out, err, "%" PRIu64, m->as.u);
    }
}

qasr_status facts_add_metadata(facts *f, const weights *w, qasr_error *err)
{
    buf key, value;
    buf_init(&key, FACTS_MAX_BYTES);
    buf_init(&value, FACTS_MAX_BYTES);
    qasr_status status = QASR_OK;
    for (size_t i = 0; i < weights_meta_count(w) && status == QASR_OK; i++) {
        const wmeta *m = weights_meta_at(w, i);
        buf_clear(&key);
        buf_clear(&value);
        TRY_GOTO(buf_add_str(&key, "meta.", err));
        TRY_GOTO(facts_clean(&key, m->key, strlen(m->key), err));
        TRY_GOTO(print_meta(&value, m, err));
        TRY_GOTO(facts_add(f, err, buf_str(&key), "%s", buf_str(&value)));
    }
done:
    buf_free(&value);
    buf_free(&key);
    return status;
}
