/* Hashes by OpenSSL's libcrypto, which uses the processor's instructions for them. */
#include "cli/pull/hash.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "app/message.h"

static EVP_MD_CTX *context(hash *h) { return (EVP_MD_CTX *)h; }

static void *fail(EVP_MD_CTX *c)
{
    EVP_MD_CTX_free(c);
    message_fail("cannot compute a hash: libcrypto failed");
    return NULL;
}

hash *hash_open(size_t n_hex, uint64_t size)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    const EVP_MD *kind = n_hex == HASH_GIT_HEX ? EVP_sha1() : EVP_sha256();
    char blob[40];
    int n = snprintf(blob, sizeof blob, "blob %" PRIu64, size) + 1; /* its terminator is hashed too */
    if (!c || EVP_DigestInit_ex(c, kind, NULL) != 1 ||
        (n_hex == HASH_GIT_HEX && EVP_DigestUpdate(c, blob, (size_t)n) != 1))
        return fail(c);
    return (hash *)c;
}

bool hash_add(hash *h, const void *data, size_t n)
{
    return EVP_DigestUpdate(context(h), data, n) == 1 || message_fail("cannot compute a hash: libcrypto failed");
}

bool hash_end(hash *h, char out[HASH_SHA256_HEX + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_DigestFinal_ex(context(h), digest, &n) != 1 || 2 * n > HASH_SHA256_HEX)
        return fail(context(h)) != NULL;
    EVP_MD_CTX_free(context(h));
    for (unsigned i = 0; i < n; i++)
        sprintf(out + 2 * i, "%02x", digest[i]);
    return true;
}
