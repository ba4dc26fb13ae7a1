//! The golden blocks of `test/vectors`, and mutations of them.

use std::path::Path;

/// The bytes of one vector: hexadecimal digits, white space between them, `#` starts a comment line.
pub(crate) fn vector(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/vectors").join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| fail(&format!("{}: {error}", path.display())));
    let digits: String =
        text.lines().filter(|line| !line.starts_with('#')).flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
    assert!(digits.len() % 2 == 0, "{name} has an odd number of digits");
    digits.as_bytes().chunks(2).map(|pair| byte(pair).unwrap_or_else(|| fail(name))).collect()
}

fn byte(pair: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()
}

#[allow(clippy::panic)]
fn fail<T>(message: &str) -> T {
    std::panic::panic_any(message.to_owned())
}

/// Blocks that are almost the golden one, then noise: each byte set to 0, 255 and flipped, and 20,000 pseudo-random
/// strings from a fixed seed, so that a failure can be repeated.
pub(crate) fn garbage(golden: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let mutations = (0..golden.len()).flat_map(move |position| {
        [0, 0xFF, golden[position] ^ 0x80, golden[position] ^ 1].map(|replacement| {
            let mut block = golden.to_vec();
            block[position] = replacement;
            block
        })
    });
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let noise = std::iter::repeat_with(move || {
        let length = (random() % 96) as usize;
        // Mostly small numbers, because large ones fail at the first length.
        (0..length).map(|_| if random() % 4 == 0 { random() as u8 } else { (random() % 5) as u8 }).collect()
    });
    mutations.chain(noise.take(20_000))
}
