/* OpenSSL's X509_verify_cert over a load of EK certificates, in one process.
 *
 * usage: peer ROOT.der CA.der LOAD ROUNDS
 * LOAD is, for each certificate, its length as four octets (big-endian) and its DER. Each round decodes and verifies
 * every certificate. Prints nanoseconds per certificate, and how many verified.
 */
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static unsigned char *slurp(const char *name, long *length) {
    FILE *file = fopen(name, "rb");
    if (!file) exit(3);
    fseek(file, 0, SEEK_END);
    *length = ftell(file);
    rewind(file);
    unsigned char *bytes = malloc(*length);
    if (fread(bytes, 1, *length, file) != (size_t)*length) exit(3);
    fclose(file);
    return bytes;
}

static X509 *certificate(const char *name) {
    long length;
    const unsigned char *bytes = slurp(name, &length);
    return d2i_X509(NULL, &bytes, length);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, certificate(argv[1]));
    STACK_OF(X509) *intermediates = sk_X509_new_null();
    sk_X509_push(intermediates, certificate(argv[2]));
    X509_VERIFY_PARAM *param = X509_VERIFY_PARAM_new();
    X509_VERIFY_PARAM_set_time(param, 1793491200); /* 2026-11-01 */
    /* EK certificates have a critical subjectAltName, which OpenSSL knows; no purpose of its own fits them. */
    X509_STORE_set1_param(store, param);
    long length, count = 0, good = 0;
    unsigned char *load = slurp(argv[3], &length);
    int rounds = atoi(argv[4]);
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int round = 0; round < rounds; round++) {
        for (long at = 0; at + 4 <= length;) {
            long size = (long)load[at] << 24 | load[at + 1] << 16 | load[at + 2] << 8 | load[at + 3];
            const unsigned char *der = load + at + 4;
            X509 *leaf = d2i_X509(NULL, &der, size);
            X509_STORE_CTX *context = X509_STORE_CTX_new();
            X509_STORE_CTX_init(context, store, leaf, intermediates);
            good += X509_verify_cert(context) == 1;
            count++;
            X509_STORE_CTX_free(context);
            X509_free(leaf);
            at += 4 + size;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double nanoseconds = (end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec);
    printf("%.0f %ld %ld\n", nanoseconds / count, good, count);
    return good == count ? 0 : 1;
}
