//! File systems made for one test: an ext4 image on a loop device, a small tmpfs. Invariant: what is mounted is
//! unmounted, and its loop device detached, with its handle. Needs root, so every suite on it may be skipped.

#![allow(clippy::disallowed_methods, reason = "mounts through the system's own tools")]

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use tempfile::TempDir;

use crate::case::{Counts, tell};
use crate::server::Fault;

/// Waits for a line, then cuts the power of the file system: nothing more reaches it, the journal included. The number
/// is `FS_IOC_SHUTDOWN` of `linux/ext4.h`, and 2 `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const CUT: &str = "import fcntl, os, struct, sys
place = os.open(sys.argv[1], os.O_RDONLY)
print('ready', flush=True)
if sys.stdin.readline():
    fcntl.ioctl(place, 0x8004587D, struct.pack('I', 2))";

/// A scratch directory in memory where there is one.
///
/// # Errors
/// Those of making a directory.
pub fn scratch() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// Runs `work` if this process may mount what `probe` mounts; otherwise says that `suite` is skipped, and why.
///
/// # Errors
/// Those of `work`.
pub fn where_permitted(
    suite: &str,
    probe: impl FnOnce(&Path) -> Result<Mount, Fault>,
    work: impl FnOnce() -> Result<Counts, Fault>,
) -> Result<Counts, Fault> {
    let scratch = scratch()?;
    match probe(scratch.path()) {
        Ok(_) => work(),
        Err(reason) => {
            tell(&format!("{suite} is skipped: {reason}"));
            Ok([("skipped", 1)].into())
        }
    }
}

/// A mounted file system.
pub struct Mount {
    point: PathBuf,
}

impl Mount {
    /// Mounts with the given arguments of `mount` at `point`, which is made.
    fn new(arguments: &[&str], source: &Path, point: PathBuf) -> Result<Self, Fault> {
        fs::create_dir_all(&point)?;
        run(Command::new("mount").args(arguments).arg(source).arg(&point))?;
        Ok(Self { point })
    }

    /// A tmpfs with these options at `point`.
    ///
    /// # Errors
    /// What `mount` says.
    pub fn tmpfs(options: &str, point: PathBuf) -> Result<Self, Fault> {
        Self::new(&["-t", "tmpfs", "-o", options], Path::new("tmpfs"), point)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn point(&self) -> &Path {
        &self.point
    }

    /// Unmounts, and says if that fails.
    ///
    /// # Errors
    /// What `umount` says.
    pub fn unmount(self) -> Result<(), Fault> {
        run(Command::new("umount").arg(&self.point))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Unmounted already, or held by a process that is about to die: then it goes with the last one.
        let _ = run(Command::new("umount").arg("--lazy").arg(&self.point));
    }
}

fn run(command: &mut Command) -> Result<(), Fault> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// An ext4 file system in a sparse file.
pub struct Image {
    file: PathBuf,
}

impl Image {
    /// Makes a file system of `bytes` in `file`.
    ///
    /// # Errors
    /// What `mkfs.ext4` says.
    pub fn make(file: PathBuf, bytes: u64) -> Result<Self, Fault> {
        File::create(&file)?.set_len(bytes)?;
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&file))?;
        Ok(Self { file })
    }

    /// Mounts it at `point` on a loop device that goes with the mount.
    ///
    /// # Errors
    /// What `mount` says.
    pub fn mount(&self, point: PathBuf, options: &str) -> Result<Mount, Fault> {
        Mount::new(&["-o", &format!("loop,{options}")], &self.file, point)
    }
}

/// A process that can cut the power of a mounted ext4 at once.
pub struct Breaker {
    child: Child,
    trigger: ChildStdin,
}

impl Breaker {
    /// Takes hold of `mount`.
    ///
    /// # Errors
    /// That there is no `python3`.
    pub fn new(mount: &Mount) -> Result<Self, Fault> {
        let mut command = Command::new("python3");
        command.args(["-S", "-E", "-c", CUT]).arg(mount.point());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (trigger, ready) = child.stdin.take().zip(child.stdout.take()).ok_or("a process has no pipes")?;
        let breaker = Self { child, trigger };
        let mut line = String::new();
        BufReader::new(ready).read_line(&mut line)?;
        if line.is_empty() { Err("python3 does not open the mount".into()) } else { Ok(breaker) }
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// That the file system cannot be shut down.
    pub fn cut(mut self) -> io::Result<()> {
        self.trigger.write_all(b"\n")?;
        if self.child.wait()?.success() { Ok(()) } else { Err(io::Error::other("the power was not cut")) }
    }
}

impl Drop for Breaker {
    fn drop(&mut self) {
        // It holds the mount, and may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
