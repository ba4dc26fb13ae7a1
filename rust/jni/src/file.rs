//! Opening the file of a response.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::errors::Failure;

/// Opens a regular file and returns it with its length. Anything else, a directory or a named pipe (whose `open` would
/// block), is refused.
pub(crate) fn open(path: &[u8]) -> Result<(File, u64), Failure> {
    let path = to_path(path);
    let open = || {
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("Not a regular file"));
        }
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        Ok((file, length))
    };
    open().map_err(|error| Failure::File { path: path.display().to_string(), error })
}

#[cfg(unix)]
fn to_path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes)).to_owned()
}

#[cfg(not(unix))]
fn to_path(bytes: &[u8]) -> PathBuf {
    Path::new(String::from_utf8_lossy(bytes).as_ref()).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::open;

    #[test]
    fn a_regular_file_is_opened_with_its_length() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let (_, length) = open(path.as_bytes()).ok().unwrap();
        assert_eq!(length, std::fs::metadata(path).unwrap().len());
    }

    #[test]
    fn a_directory_a_missing_file_and_a_path_with_nul_are_refused() {
        for path in [env!("CARGO_MANIFEST_DIR"), "/no/such/file", "a\0b", ""] {
            assert!(open(path.as_bytes()).is_err(), "{path:?}");
        }
    }
}
