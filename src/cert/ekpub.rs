//! The hash under which AD CS looks up an endorsement key.

use crate::cert::PublicKey;
use crate::fingerprint::EkPubHash;

/// SHA-256 of the content of the subjectPublicKey BIT STRING without its unused-bits octet: for RSA the DER
/// RSAPublicKey (RFC 8017 A.1.1), also where the algorithm is named RSAES-OAEP.
///
/// It is not the hash of the SubjectPublicKeyInfo. For EC keys the same octets (the point) are hashed; whether AD CS
/// does so is not confirmed, its documents speak of RSA only.
pub fn hash(key: &PublicKey<'_>) -> EkPubHash {
    EkPubHash::of(key.bits)
}
