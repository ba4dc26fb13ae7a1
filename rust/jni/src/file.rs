//! Opening the file of a response.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::errors::Failure;

/// Opens a regular file and returns it with its length. Anything else, a directory or a named pipe, is refused.
///
/// `NONBLOCK` because the `open` of a named pipe waits for a writer, and means nothing for a file. To ask what it is before
/// opening it would cost 6 % of the CPU of a request for a small file.
pub(crate) fn open(path: &[u8]) -> Result<(File, u64), Failure> {
    let path = Path::new(OsStr::from_bytes(path));
    let open = || {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let metadata = file.metadata()?;
        if metadata.is_file() { Ok((file, metadata.len())) } else { Err(io::Error::other("Not a regular file")) }
    };
    open().map_err(|error| Failure::File { path: path.display().to_string(), error })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::open;

    #[test]
    fn a_regular_file_is_opened_with_its_length() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let (_, length) = open(path.as_bytes()).ok().unwrap();
        assert_eq!(length, std::fs::metadata(path).unwrap().len());
    }

    #[test]
    fn a_named_pipe_is_refused_at_once() {
        let path = std::env::temp_dir().join(format!("httpkit-rs-pipe-{}", std::process::id()));
        mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap();
        let opened = open(path.as_os_str().as_encoded_bytes());
        std::fs::remove_file(&path).unwrap();
        assert!(opened.is_err());
    }

    #[test]
    fn a_directory_a_missing_file_and_a_path_with_nul_are_refused() {
        for path in [env!("CARGO_MANIFEST_DIR"), "/no/such/file", "a\0b", ""] {
            assert!(open(path.as_bytes()).is_err(), "{path:?}");
        }
    }
}
