//! The file of a Unix socket: it outlives the socket, and the next start would find it in its way. So a server removes its own, and one
//! that a killed server has left behind, but never one at which somebody listens.

use std::fs::{File, remove_file, symlink_metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use socket2::{Domain, SockAddr, Socket, Type};

/// The file that was made for a listener: a path alone may by then be that of another's.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// How long another start may take. Programs also lock directories of theirs for good, as those below `/tmp` that are not to be cleaned.
const TURN: Duration = Duration::from_secs(1);

/// Device and inode.
type Identity = (u64, u64);

impl SocketFile {
    /// Binds a socket to a path and has it listen; no file if it cannot be found again.
    pub(crate) fn bind(path: &Path, listen: impl FnOnce(&Socket) -> io::Result<()>) -> io::Result<(Socket, Option<Self>)> {
        let _turn = turn(path);
        let (socket, address) = (Socket::new(Domain::UNIX, Type::STREAM, None)?, SockAddr::unix(path)?);
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && remove_dead(path, &address) => socket.bind(&address)?,
            result => result?,
        }
        listen(&socket)?;
        Ok((socket, socket_at(path).map(|identity| Self { path: path.to_owned(), identity })))
    }

    /// Removes the file, unless another has its place.
    pub(crate) fn remove(&self) {
        if socket_at(&self.path) == Some(self.identity) {
            let _ = remove_file(&self.path);
        }
    }
}

/// Between `bind` and `listen` a socket refuses connections, as a dead one does: another start, of whatever process, waits until the
/// file returned is closed. Without one, where the directory cannot be opened or somebody else keeps it locked, it does not.
fn turn(path: &Path) -> Option<File> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = File::open(directory).ok()?;
    let until = Instant::now() + TURN;
    while flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        if Instant::now() >= until {
            return None;
        }
        sleep(TURN / 100);
    }
    Some(directory)
}

/// Removes a socket that refuses connections. False if there was none, or none could be removed.
fn remove_dead(path: &Path, address: &SockAddr) -> bool {
    let Some(found) = socket_at(path) else { return false };
    is_refused(address) && socket_at(path) == Some(found) && remove_file(path).is_ok()
}

fn is_refused(address: &SockAddr) -> bool {
    let connect = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // One that listens may have no room in its queue for now.
        socket.set_nonblocking(true)?;
        socket.connect(address)
    };
    connect().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn socket_at(path: &Path) -> Option<Identity> {
    let metadata = symlink_metadata(path).ok()?;
    metadata.file_type().is_socket().then(|| (metadata.dev(), metadata.ino()))
}
