//! The names of a tree of files held in memory: which paths are directories, which are files, and why an operation on
//! one is refused. Invariant: the parent of every name is a directory. Here because every simulated backend needs the
//! same answers as the real disk.

use std::collections::BTreeMap;
use std::io;

use super::contract::parent;

/// A tree of names; what a file is, is the backend's.
#[derive(Clone)]
pub(super) struct Names<F> {
    /// By full path; the root is not listed.
    nodes: BTreeMap<String, Node<F>>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node<F> {
    Dir,
    File(F),
}

impl<F> Default for Names<F> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new() }
    }
}

impl<F> Names<F> {
    /// The file at `path`, or why there is none.
    pub fn file(&self, path: &str) -> io::Result<&F> {
        match self.nodes.get(path) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(self.absence(path)),
        }
    }

    pub fn check_is_dir(&self, dir: &str) -> io::Result<()> {
        match self.nodes.get(dir) {
            _ if dir.is_empty() => Ok(()),
            Some(Node::Dir) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(self.absence(dir)),
        }
    }

    /// Why nothing is at `path`: the error depends on whether it would lie inside a file.
    fn absence(&self, path: &str) -> io::Error {
        let mut above = path.match_indices('/').map(|(end, _)| &path[..end]);
        if above.any(|level| matches!(self.nodes.get(level), Some(Node::File(_)))) {
            io::ErrorKind::NotADirectory.into()
        } else {
            io::ErrorKind::NotFound.into()
        }
    }

    /// Fails where `path` is taken or its parent is no directory.
    pub fn check_is_free(&self, path: &str) -> io::Result<()> {
        self.check_is_dir(parent(path))?;
        if self.nodes.contains_key(path) { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(()) }
    }

    pub fn insert_new(&mut self, path: &str, node: Node<F>) -> io::Result<()> {
        self.check_is_free(path)?;
        self.set(path, node);
        Ok(())
    }

    /// Fails where `dir` is no empty directory.
    pub fn check_is_empty_dir(&self, dir: &str) -> io::Result<()> {
        self.check_is_dir(dir)?;
        if self.list(dir).is_empty() { Ok(()) } else { Err(io::ErrorKind::DirectoryNotEmpty.into()) }
    }

    /// Names directly inside `dir`, sorted; none if there is no such directory.
    pub fn list(&self, dir: &str) -> Vec<String> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        self.nodes
            .range(prefix.clone()..)
            .map_while(|(path, _)| path.strip_prefix(&prefix))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// Names `node`, whatever the name stood for.
    pub fn set(&mut self, path: &str, node: Node<F>) {
        self.nodes.insert(path.to_owned(), node);
    }

    pub fn remove(&mut self, path: &str) -> Option<Node<F>> {
        self.nodes.remove(path)
    }

    /// Every name, parents before what they hold.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node<F>)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }
}
