//! Keys that must not be trusted whatever signs them: ROCA moduli, and CAs whose private keys are public.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::fingerprint::KeyFingerprint;

/// A product of primes below 2^32, with the residues that a vulnerable modulus can have for each.
struct Group {
    product: u32,
    /// For each prime, whether a residue is in the subgroup that 65537 generates.
    primes: Vec<(u32, Vec<bool>)>,
}

/// The odd primes up to 167, grouped; the most telling first, so that nearly every sound key is done after one group.
static GROUPS: LazyLock<Vec<Group>> = LazyLock::new(|| {
    let is_prime = |number: &u32| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
    let mut primes: Vec<(u32, Vec<bool>)> = (3..=167)
        .filter(is_prime)
        .map(|prime| {
            let mut members = vec![false; prime as usize];
            let mut power = 1;
            while !members[power as usize] {
                members[power as usize] = true;
                power = power * (65_537 % prime) % prime;
            }
            (prime, members)
        })
        .collect();
    let chance = |(prime, members): &(u32, Vec<bool>)| {
        members.iter().filter(|member| **member).count() * 1_000_000 / (*prime as usize - 1)
    };
    primes.sort_by_key(chance);
    let mut groups: Vec<Group> = Vec::new();
    for (prime, members) in primes {
        let fits = groups.last().and_then(|group| group.product.checked_mul(prime));
        match (fits, groups.last_mut()) {
            (Some(product), Some(group)) => {
                group.product = product;
                group.primes.push((prime, members));
            }
            _ => groups.push(Group { product: prime, primes: vec![(prime, members)] }),
        }
    }
    groups
});

/// Whether an RSA modulus (big-endian) has the fingerprint of CVE-2017-15361: modulo every odd prime up to 167 it is a
/// power of 65537. A sound modulus has it with a chance of about 4 in 10^9.
pub fn is_roca(modulus: &[u8]) -> bool {
    if modulus.len() < 32 {
        return false;
    }
    GROUPS.iter().all(|group| {
        let product = u64::from(group.product);
        let (head, words) = modulus.split_at(modulus.len() % 4);
        let start = head.iter().fold(0, |number: u64, octet| (number << 8) | u64::from(*octet));
        let residue = words.chunks_exact(4).fold(start % product, |residue, word| {
            let word = word.iter().fold(0, |number: u64, octet| (number << 8) | u64::from(*octet));
            ((residue << 32) | word) % product
        });
        let residue = u32::try_from(residue).unwrap_or_default();
        group.primes.iter().all(|(prime, members)| members[(residue % prime) as usize])
    })
}

/// Whose key this is, if its private key is public (`data/test-ca-keys.tsv`).
pub fn known_test_key(key: KeyFingerprint) -> Option<&'static str> {
    static KEYS: LazyLock<BTreeMap<KeyFingerprint, &'static str>> = LazyLock::new(|| {
        include_str!("../../data/test-ca-keys.tsv")
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once('\t'))
            .map(|(key, whose)| (key.parse().expect("a test reads the embedded list"), whose))
            .collect()
    });
    KEYS.get(&key).copied()
}

/// The numbers of Infineon's "OPTIGA(TM) RSA Manufacturing CA"s that served chips with the weak key generation: Microsoft
/// withdrew the AIK CAs tied to them in the weeks and months after CVE-2017-15361 became known.
const ROCA_ERA: [&str; 16] = [
    "000", "002", "003", "004", "005", "007", "010", "011", "012", "016", "017", "018", "020", "022", "023",
    "025",
];

/// Whether a CA with this common name issued EK certificates in the time of CVE-2017-15361.
pub fn is_roca_era_ca(common_name: &str) -> bool {
    common_name
        .strip_prefix("Infineon OPTIGA(TM) RSA Manufacturing CA ")
        .is_some_and(|number| ROCA_ERA.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number of 2048 bits that is 65537^k modulo all the primes: no key, but with the fingerprint.
    fn fingerprinted() -> Vec<u8> {
        // 65537^k itself has it: multiply out to 2048 bits and less.
        let mut digits: Vec<u32> = vec![1];
        while digits.len() < 60 {
            let mut carry = 0u64;
            for digit in &mut digits {
                let product = u64::from(*digit) * 65_537 + carry;
                *digit = (product & 0xffff_ffff) as u32;
                carry = product >> 32;
            }
            if carry > 0 {
                digits.push(u32::try_from(carry).expect("below 2^32"));
            }
        }
        digits.iter().rev().flat_map(|digit| digit.to_be_bytes()).collect()
    }

    #[test]
    fn a_power_of_65537_has_the_fingerprint_and_its_neighbour_does_not() {
        let mut modulus = fingerprinted();
        assert!(is_roca(&modulus));
        let last = modulus.len() - 1;
        modulus[last] ^= 2;
        assert!(!is_roca(&modulus));
        assert!(!is_roca(&[0xff; 256]));
        assert!(!is_roca(&[1]));
    }

    #[test]
    fn every_row_of_the_list_reads() {
        assert!(known_test_key(KeyFingerprint::from_bytes([0; 32])).is_none());
        let ibm = "b280b9e54fe3ee5e58dcd5e1321b1e91152181664de6f61b2f3ad3dc4a0628df".parse();
        assert!(known_test_key(ibm.expect("a digest")).is_some_and(|whose| whose.contains("IBM")));
    }

    #[test]
    fn the_first_group_alone_nearly_decides() {
        let chance: f64 = GROUPS[0]
            .primes
            .iter()
            .map(|(prime, members)| {
                let count = u32::try_from(members.iter().filter(|member| **member).count()).expect("small");
                f64::from(count) / f64::from(prime - 1)
            })
            .product();
        assert!(chance < 0.001, "{chance}");
    }
}
