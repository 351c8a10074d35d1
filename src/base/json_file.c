/* See json_file.h. */
#include "base/json_file.h"

#include <jansson.h>

#include "base/file.h"

qasr_status json_file_parse(json_t **root, const char *text, size_t len, const char *path, qasr_error *err)
{
    json_error_t where;
    *root = NULL;
    TRY(file_refuse_lfs_pointer(text, len, path, err));
    *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
    if (!*root && !*where.text) /* Jansson leaves the text empty when it runs out of memory */
        return error_set(err, QASR_E_NOMEM, "cannot read '%s': out of memory", path);
    if (!*root)
        return error_set(err, QASR_E_FORMAT, "'%s' is not valid JSON: line %d, column %d: %s", path, where.line,
                         where.column, where.text);
    if (json_is_object(*root))
        return QASR_OK;
    json_decref(*root);
    *root = NULL;
    return error_set(err, QASR_E_FORMAT, "'%s' is not a JSON object", path);
}

qasr_status json_file_read(json_t **root, buf *text, const char *path, qasr_error *err)
{
    *root = NULL;
    TRY(file_read_all(text, path, err));
    return json_file_parse(root, buf_str(text), text->len, path, err);
}

const char *json_file_jansson_version(void) { return jansson_version_str(); }
