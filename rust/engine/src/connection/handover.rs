//! Who goes on with a connection: the task that drives it, or a thread that has changed something and must wake that task.

/// The hand-over between threads, part of what the connection's lock protects.
#[derive(Debug, Default)]
pub(crate) struct Handover {
    /// The task is inside `drive`: whatever changes while it lets go of the lock, it sees without being woken.
    driving: bool,
    /// Something changed that the task has to act on.
    wanted: bool,
}

impl Handover {
    /// The task begins to drive.
    pub(crate) fn begin(&mut self) {
        self.driving = true;
    }

    /// The task has seen everything there is; the lock is held until it is about to wait.
    pub(crate) fn end(&mut self) {
        self.driving = false;
        self.wanted = false;
    }

    /// True while the task drives, the time it spends inside the application included.
    pub(crate) fn is_driven(&self) -> bool {
        self.driving
    }

    /// There is work for the task.
    pub(crate) fn want(&mut self, work: bool) {
        self.wanted |= work;
    }

    /// Before the lock is let go of: true if the task is to be woken.
    pub(crate) fn must_wake(&mut self) -> bool {
        std::mem::take(&mut self.wanted) && !self.driving
    }
}
