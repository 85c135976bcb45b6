/* Lists the certificates of a store as crypt32 sees it: the length and the DER in hexadecimal, one a line.
 *   crypt32 file PATH     a serialized store
 *   crypt32 store NAME    a system store of the local machine
 */
#include <windows.h>
#include <wincrypt.h>
#include <stdio.h>
#include <string.h>

int wmain(int argc, wchar_t **argv)
{
    HCERTSTORE store;
    PCCERT_CONTEXT cert = NULL;
    DWORD i, count = 0;

    if (argc != 3)
        return 2;
    if (!wcscmp(argv[1], L"file"))
        store = CertOpenStore(CERT_STORE_PROV_FILENAME_W, X509_ASN_ENCODING, 0,
                              CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_READONLY_FLAG, argv[2]);
    else
        store = CertOpenStore(CERT_STORE_PROV_SYSTEM_W, X509_ASN_ENCODING, 0,
                              CERT_SYSTEM_STORE_LOCAL_MACHINE | CERT_STORE_OPEN_EXISTING_FLAG | CERT_STORE_READONLY_FLAG,
                              argv[2]);
    if (!store) {
        fprintf(stderr, "cannot open: %08lx\n", GetLastError());
        return 1;
    }
    while ((cert = CertEnumCertificatesInStore(store, cert))) {
        for (i = 0; i < cert->cbCertEncoded; i++)
            printf("%02x", cert->pbCertEncoded[i]);
        printf("\n");
        count++;
    }
    CertCloseStore(store, 0);
    fprintf(stderr, "%lu\n", count);
    return 0;
}
