//! A second reader of requests, written from RFC 9112 in the plainest way and without a look at the core: it takes for granted that
//! the input is valid, and so finds what a lenient server behind ours would find in the same bytes.

/// A message as the naive reader delimits it: its body, and where in the input it ends.
pub(crate) struct Message {
    pub(crate) body: Vec<u8>,
    pub(crate) end: usize,
}

/// The first `count` messages of an input, fewer if it ends before.
pub(crate) fn read(input: &[u8], count: usize) -> Vec<Message> {
    let mut messages = Vec::new();
    let mut start = 0;
    while messages.len() < count {
        let Some(message) = read_one(input, start) else { break };
        start = message.end;
        messages.push(message);
    }
    messages
}

fn read_one(input: &[u8], start: usize) -> Option<Message> {
    let start = if input[start..].starts_with(b"\r\n") { start + 2 } else { start };
    let head_length = find(&input[start..], b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&input[start..start + head_length]).to_ascii_lowercase();
    let body_start = start + head_length;
    let value = |wanted: &str| {
        let line = head.lines().skip(1).find(|line| line.split(':').next() == Some(wanted))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    if value("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        return read_chunks(input, body_start);
    }
    let length = value("content-length").map_or(Some(0), |text| text.parse().ok())?;
    let end = body_start.checked_add(length)?;
    Some(Message { body: input.get(body_start..end)?.to_vec(), end })
}

fn read_chunks(input: &[u8], mut position: usize) -> Option<Message> {
    let mut body = Vec::new();
    loop {
        let line = line_at(input, position)?;
        position += line.len() + 2;
        let digits = line.split(|&byte| byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(input.get(position..position + size)?);
        position += size;
        if !line_at(input, position)?.is_empty() {
            return None;
        }
        position += 2;
    }
    loop {
        let line = line_at(input, position)?;
        position += line.len() + 2;
        if line.is_empty() {
            return Some(Message { body, end: position });
        }
    }
}

fn line_at(input: &[u8], position: usize) -> Option<&[u8]> {
    let rest = input.get(position..)?;
    Some(&rest[..find(rest, b"\r\n")?])
}

fn find(input: &[u8], wanted: &[u8]) -> Option<usize> {
    input.windows(wanted.len()).position(|window| window == wanted)
}
