//! The two codes: one for the device, long and secret, and one for the person, short and easy to type.

use authchain::core::{AuthError, Secret};

use crate::{
    keys::{base64url, from_base64url, random},
    server::Shared,
};

/// Twenty consonants: no two look alike, and no words come about (RFC 8628, section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// 20^8 codes are 34 bits.
const LETTERS: usize = 8;
/// Tells the tags of device codes from those of authorization codes.
const PURPOSE: &[u8] = b"device code";

/// A code for the device: 24 random bytes and a tag over them, so that garbage needs no look at the database.
pub(super) fn new_device_code(server: &Shared) -> Result<Secret, AuthError> {
    let random = random::<24>()?;
    let tag = server.keys.codes.tag(&[PURPOSE, &random]);
    Ok(Secret::new(base64url(random.iter().chain(tag.iter().take(16)).copied().collect::<Vec<_>>())))
}

/// Whether we made a device code, at some time.
pub(crate) fn is_ours(server: &Shared, code: &str) -> bool {
    from_base64url(code).is_some_and(|bytes| match bytes.split_at_checked(24) {
        Some((random, tag)) => tag.len() == 16 && server.keys.codes.recognises(&[PURPOSE, random], tag),
        None => false,
    })
}

/// A code for the person, in two groups: `WDJB-MJHT`.
pub(super) fn new_user_code() -> Result<String, AuthError> {
    let mut letters = String::with_capacity(LETTERS + 1);
    let mut count = 0;
    while count < LETTERS {
        for byte in random::<16>()? {
            // Bytes beyond the last whole multiple of 20 would make some letters likelier than others.
            let Some(letter) = ALPHABET.get(usize::from(byte) % ALPHABET.len()).filter(|_| byte < 240) else {
                continue;
            };
            if count == LETTERS {
                break;
            }
            if count == LETTERS / 2 {
                letters.push('-');
            }
            letters.push(char::from(*letter));
            count += 1;
        }
    }
    Ok(letters)
}

/// What a person typed, as the device shows it: in any case, with any or no separator. `None` for what is no code.
pub(super) fn read_user_code(typed: &str) -> Option<String> {
    let letters: String = typed
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '‐' | '‑' | '–' | '—' | '_' | '.' | ',' | ':'))
        .map(|c| c.to_ascii_uppercase())
        .take(LETTERS + 1)
        .collect();
    let known = letters.bytes().all(|letter| ALPHABET.contains(&letter));
    let (first, second) = letters.split_at_checked(LETTERS / 2)?;
    (known && letters.len() == LETTERS).then(|| format!("{first}-{second}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_code_is_eight_consonants_in_two_groups() {
        for _ in 0..100 {
            let code = new_user_code().unwrap();
            let (first, second) = code.split_once('-').unwrap();
            assert!(first.len() == 4 && second.len() == 4, "{code}");
            assert!(code.bytes().filter(|b| *b != b'-').all(|b| ALPHABET.contains(&b)), "{code}");
            assert_eq!(read_user_code(&code), Some(code));
        }
    }

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        for typed in ["WDJB-MJHT", "wdjbmjht", " wdjb mjht ", "W D J B-M J H T", "wdjb–mjht", "WDJB_MJHT", "wdjb.mjht"]
        {
            assert_eq!(read_user_code(typed).as_deref(), Some("WDJB-MJHT"), "{typed:?}");
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for typed in
            ["", "WDJB", "WDJB-MJH", "WDJB-MJHTT", "WDJA-MJHT", "1234-5678", "ẂDJB-MJHT", "<b>", &"B".repeat(999)]
        {
            assert_eq!(read_user_code(typed), None, "{typed:?}");
        }
    }
}
