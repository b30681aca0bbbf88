//! Which hash of the server's certificate binds a password's proof to the connection (RFC 5929, section 4.1): that of the
//! certificate's own signature. With another one the server takes us for somebody in between.

use aws_lc_rs::digest::{Algorithm, Digest, SHA256, SHA384, SHA512, digest};

/// DER's tags of what is looked at on the way (X.690, section 8).
const SEQUENCE: u8 = 0x30;
const OBJECT_IDENTIFIER: u8 = 0x06;

/// The hashes by the object identifiers of signatures with RSA (RFC 4055, section 5) and with ECDSA (RFC 5758, section 3.2).
const SIGNATURES: [(&[u8], &Algorithm); 6] = [
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], &SHA256),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c], &SHA384),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d], &SHA512),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], &SHA256),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], &SHA384),
    (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04], &SHA512),
];

/// The hash of a certificate (DER) that both ends know; `None` where its signature names no single one (Ed25519, RSA-PSS),
/// for which no binding is defined.
pub(super) fn end_point(certificate: &[u8]) -> Option<Digest> {
    let signature = signature_of(certificate)?;
    let (_, hash) = SIGNATURES.iter().find(|(identifier, _)| *identifier == signature)?;
    Some(digest(hash, certificate))
}

/// How a certificate is signed (RFC 5280, section 4.1: the second part of three).
fn signature_of(certificate: &[u8]) -> Option<&[u8]> {
    let (parts, _) = element(SEQUENCE, certificate)?;
    let (_signed, rest) = element(SEQUENCE, parts)?;
    let (algorithm, _) = element(SEQUENCE, rest)?;
    element(OBJECT_IDENTIFIER, algorithm).map(|(identifier, _)| identifier)
}

/// What is in the first element, which has this tag, and what comes after it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, short], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SignatureAlgorithm,
    };

    use super::*;

    fn signed_with(algorithm: &'static SignatureAlgorithm) -> Vec<u8> {
        let params = CertificateParams::new(["db.example".to_owned()]).unwrap();
        params.self_signed(&KeyPair::generate_for(algorithm).unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_hash_is_that_of_the_certificates_signature() {
        for (algorithm, hash) in [(&PKCS_ECDSA_P256_SHA256, &SHA256), (&PKCS_ECDSA_P384_SHA384, &SHA384)] {
            let certificate = signed_with(algorithm);
            assert_eq!(end_point(&certificate).unwrap().as_ref(), digest(hash, &certificate).as_ref());
        }
    }

    #[test]
    fn a_signature_without_one_hash_binds_nothing() {
        assert!(end_point(&signed_with(&PKCS_ED25519)).is_none());
    }

    #[test]
    fn what_is_cut_off_anywhere_binds_nothing_or_what_the_whole_does() {
        let certificate = signed_with(&PKCS_ECDSA_P256_SHA256);
        for length in 0..certificate.len() {
            assert!(end_point(&certificate[..length]).is_none(), "{length}");
        }
        for bytes in [&[0x30, 0x80, 0, 0][..], &[0x30, 0x85, 1, 1, 1, 1, 1], &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0]] {
            assert!(end_point(bytes).is_none(), "{bytes:?}");
        }
    }
}
