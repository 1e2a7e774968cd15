//! How a database is to be opened: plain choices, which [`Builder::open`] turns into an open one.

use std::path::PathBuf;
use std::sync::Arc;

use storage::backend::StorageBackend;

use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, OsEntropy};
use crate::home::Where;
use crate::root_key::RootKey;
use crate::settings::Settings;
use crate::succession::Succession;
use crate::trail::AuditSink;

/// How to open a database.
pub struct Builder {
    pub(crate) path: PathBuf,
    pub(crate) root_key: RootKey,
    pub(crate) previous_root_key: Option<RootKey>,
    pub(crate) gives_up_missing: bool,
    pub(crate) settings: Settings,
    pub(crate) anchors: Vec<Where>,
    pub(crate) mirrors: Vec<Where>,
    pub(crate) audit_sink: Option<AuditSink>,
    pub(crate) create: bool,
    pub(crate) succession: Option<Succession>,
    pub(crate) backend: Option<Arc<dyn StorageBackend>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

impl Builder {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            root_key: RootKey::sources(),
            previous_root_key: None,
            gives_up_missing: false,
            settings: Settings::default(),
            anchors: Vec::new(),
            mirrors: Vec::new(),
            audit_sink: None,
            create: true,
            succession: None,
            backend: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// Where the root key comes from; [`RootKey::sources`] unless said otherwise.
    #[must_use]
    pub fn root_key(mut self, root_key: RootKey) -> Self {
        self.root_key = root_key;
        self
    }

    /// The root key before, while a rotation to [`Builder::root_key`] is not finished: environments that still have it
    /// are sealed with the new one as they open, or all at once by [`Database::finish_rotation`].
    #[must_use]
    pub fn previous_root_key(mut self, root_key: RootKey) -> Self {
        self.previous_root_key = Some(root_key);
        self
    }

    /// Whether to go on without anchor stores that were in use and are not named now (`false` unless said otherwise). What
    /// they hold is never destroyed: copies of keyrings made until now stay readable to whoever has it and the root key.
    #[must_use]
    pub fn give_up_missing_anchor_stores(mut self, gives_up: bool) -> Self {
        self.gives_up_missing = gives_up;
        self
    }

    /// Limits and tuning.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Keeps the anchors in this directory instead of `anchors/` in the data directory; given again, in each of them.
    /// Put them on volumes that copies and backups of the data leave out: then an erasure reaches those too. Anchors that
    /// are still in the data directory move at the next opening.
    #[must_use]
    pub fn anchor_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.anchors.push(Where::Path(path.into()));
        self
    }

    /// As [`Builder::anchor_dir`], behind a backend.
    #[must_use]
    pub fn anchor_backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.anchors.push(Where::Backend(backend));
        self
    }

    /// Mirrors every keyring into this directory; given again, into each. A mirror has what the data directory has
    /// before any of it is used, and takes its place where it is lost. Put it on another volume.
    #[must_use]
    pub fn keyring_mirror(mut self, path: impl Into<PathBuf>) -> Self {
        self.mirrors.push(Where::Path(path.into()));
        self
    }

    /// As [`Builder::keyring_mirror`], behind a backend.
    #[must_use]
    pub fn keyring_mirror_backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.mirrors.push(Where::Backend(backend));
        self
    }

    /// Tells every audit log a second time, outside the data directory.
    #[must_use]
    pub fn audit_sink(mut self, sink: AuditSink) -> Self {
        self.audit_sink = Some(sink);
        self
    }

    /// A new directory becomes another home of a database that there are backups of, for [`Database::restore`].
    #[must_use]
    pub fn succeed(mut self, succession: Succession) -> Self {
        self.succession = Some(succession);
        self
    }

    /// Whether a missing store is made (the default) or `NotFound`.
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Keeps the data behind this backend instead of the file system.
    #[must_use]
    pub fn backend(mut self, backend: Arc<dyn StorageBackend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// Tells the time by this clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Draws keys and nonces from this source.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }
}
