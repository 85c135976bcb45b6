//! What the errors of key attestation mean for an administrator, and what to do next.

use serde::Serialize;

/// One HRESULT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The code, such as 0x80094817.
    #[serde(serialize_with = "hexadecimal")]
    pub code: u32,
    /// Its symbol in winerror.h.
    pub symbol: &'static str,
    /// What it usually means.
    pub cause: &'static str,
    /// What to look at next.
    pub next: &'static [&'static str],
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn hexadecimal<S: serde::Serializer>(code: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("0x{code:08X}"))
}

/// All that are known here, by code.
pub const TABLE: [Explanation; 10] = [
    Explanation {
        code: 0x8009_4017,
        symbol: "CERTSRV_E_KEY_ATTESTATION_NOT_SUPPORTED",
        cause: "the client or its provider cannot attest",
        next: &[
            "the template must name Microsoft Platform Crypto Provider and no other: `ekstore adcs check-template`",
            "on the client: `tpmtool getdeviceinformation`, and whether the TPM is ready for attestation",
        ],
    },
    Explanation {
        code: 0x8009_4817,
        symbol: "CERTSRV_E_INVALID_EK",
        cause: "the CA cannot interpret or verify the endorsement key information",
        next: &[
            "the EK certificate's chain: `ekstore verify EK.cer`; every intermediate must be in EKCA, as the request brings none",
            "whether the CA holds what was approved: `ekstore adcs check-stores`",
            "with the endorsement key method: whether the hash is in the list folder (`ekstore ekpub list`), and whether the CA's \
             machine account can read it",
            "on the CA: `Confirm-CAEndorsementKeyInfo -Certificate` or `-PublicKeyHash`",
        ],
    },
    Explanation {
        code: 0x8009_4818,
        symbol: "CERTSRV_E_INVALID_IDBINDING",
        cause: "the binding of the attestation identity key is not valid",
        next: &["request again; if it stays, clear and provision the TPM again"],
    },
    Explanation {
        code: 0x8009_4819,
        symbol: "CERTSRV_E_INVALID_ATTESTATION",
        cause: "the attestation data of the private key is not valid",
        next: &["request again with a new key; if it stays, the TPM's firmware"],
    },
    Explanation {
        code: 0x8009_481A,
        symbol: "CERTSRV_E_KEY_ATTESTATION",
        cause: "the request does not support attestation as the template requires",
        next: &[
            "the client must know the template as it is now: `gpupdate /force`, and the compatibility level of the template",
            "a key of another provider cannot be attested: the request must be made with the template",
        ],
    },
    Explanation {
        code: 0x8009_481B,
        symbol: "CERTSRV_E_CORRUPT_KEY_ATTESTATION",
        cause: "the key of the request and the attestation data disagree",
        next: &["make a new key and request again"],
    },
    Explanation {
        code: 0x8009_481C,
        symbol: "CERTSRV_E_EXPIRED_CHALLENGE",
        cause: "the CA exchange certificate expired, or its key is not available",
        next: &["on the CA: `certutil -cainfo xchg`; request again, the challenge is made anew"],
    },
    Explanation {
        code: 0x8009_481D,
        symbol: "CERTSRV_E_INVALID_RESPONSE",
        cause: "the client's response to the challenge is not valid",
        next: &["request again; a response counts once, and only from the TPM that was challenged"],
    },
    Explanation {
        code: 0x8009_481E,
        symbol: "CERTSRV_E_INVALID_REQUESTID",
        cause: "the request id is missing or not valid",
        next: &["the response must go to the CA that made the challenge"],
    },
    Explanation {
        code: 0x8009_4820,
        symbol: "CERTSRV_E_PENDING_CLIENT_RESPONSE",
        cause: "the CA is waiting for the client's response to the challenge; this is a step, not a failure",
        next: &["if it stays so, the client cannot decrypt the challenge, or cannot reach the CA again"],
    },
];

/// Finds the errors that a code or a text names: hexadecimal, signed or unsigned decimal, or the symbol, anywhere in it.
pub fn explain(text: &str) -> Vec<Explanation> {
    let upper = text.to_ascii_uppercase();
    let words: Vec<&str> = upper
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-')
        .filter(|word| !word.is_empty())
        .collect();
    let code = |word: &str| {
        let hex = word.strip_prefix("0X").unwrap_or(word);
        let by_hex = u32::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 8);
        let by_decimal =
            || word.parse::<i64>().ok().and_then(|number| u32::try_from(number & 0xffff_ffff).ok());
        by_hex.or_else(by_decimal)
    };
    TABLE
        .into_iter()
        .filter(|entry| words.iter().any(|word| *word == entry.symbol || code(word) == Some(entry.code)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found_in_every_form() {
        for text in [
            "0x80094817",
            "80094817",
            "-2146875369",
            "2148091927",
            "certsrv_e_invalid_ek",
            "Denied by Policy Module 0x80094817, The EK info (-2146875369)",
            "The request failed: (CERTSRV_E_INVALID_EK).",
        ] {
            let found = explain(text);
            assert_eq!(found.iter().map(|entry| entry.code).collect::<Vec<_>>(), [0x8009_4817], "{text}");
        }
        assert!(explain("0x80070005 access denied").is_empty());
    }
}
