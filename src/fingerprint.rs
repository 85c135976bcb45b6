//! Digests as types: a certificate's identity, its Windows name, and the hashes of its key.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits, got {actual:?}")]
pub struct ParseDigestError {
    /// How many hexadecimal digits the digest has.
    pub expected: usize,
    /// What was given, cut to 80 characters.
    pub actual: String,
}

macro_rules! hex_digest {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $algorithm:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// Hashes `bytes`.
            pub fn of(bytes: &[u8]) -> Self {
                let mut out = [0; $bytes];
                out.copy_from_slice(digest::digest(&digest::$algorithm, bytes).as_ref());
                Self(out)
            }

            /// Wraps digest octets that were computed elsewhere.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The digest's octets.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }

            /// The digest in upper-case hexadecimal, as Windows writes it.
            pub fn to_upper_hex(&self) -> String {
                data_encoding::HEXUPPER.encode(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                HEXLOWER_PERMISSIVE
                    .decode(text.as_bytes())
                    .ok()
                    .and_then(|bytes| <[u8; $bytes]>::try_from(bytes).ok())
                    .map(Self)
                    .ok_or_else(|| ParseDigestError {
                        expected: $bytes * 2,
                        actual: text.chars().take(80).collect(),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_digest! {
    /// SHA-256 of the exact DER: a certificate's identity everywhere.
    Fingerprint, 32, SHA256
}
hex_digest! {
    /// SHA-1 of the exact DER, only where Windows names certificates by it. Never used to decide trust.
    Thumbprint, 20, SHA1_FOR_LEGACY_USE_ONLY
}
hex_digest! {
    /// SHA-256 of a DER SubjectPublicKeyInfo: a public key's identity.
    KeyFingerprint, 32, SHA256
}
hex_digest! {
    /// SHA-256 of the content of the subjectPublicKey BIT STRING: the name under which AD CS looks an endorsement
    /// key up in its list.
    EkPubHash, 32, SHA256
}
hex_digest! {
    /// SHA-256 of anything else: a line of the log, a file of an export, a catalogue.
    Digest, 32, SHA256
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_and_round_trips() {
        let digest = Digest::of(b"abc");
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
        assert_eq!(Thumbprint::of(b"abc").to_upper_hex(), "A9993E364706816ABA3E25717850C26C9CD0D89D");
    }

    #[test]
    fn refuses_other_lengths_and_letters() {
        assert!("ba78".parse::<Digest>().is_err());
        assert!("zz".repeat(32).parse::<Digest>().is_err());
    }
}
