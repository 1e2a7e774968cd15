//! ADMIT: permit → scope → told, if it is refused, or a look. What every walk begins with.
//!
//! Invariant: a refusal for want of a permission is told in the audit log before it is answered, but for more of the same
//! within a minute, which are counted and told after it; and whoever is let in to look at something is told or counted
//! here, so that no walk can forget it; an act that changes something tells itself. What is merely outside of
//! the scope is not: it is answered as what is not there, and who asks for what is not there is not told either.

use std::borrow::Cow;

use privacy::EntityId;
use privacy::access::{Asked, Permission};
use privacy::audit::{Act, Entry, Name, Outcome};

use crate::batch::Errors;
use crate::denials::Counted;
use crate::error::{Error, ErrorKind, Result};
use crate::filter::Filter;
use crate::permit::Permit;
use crate::state::{CollectionState, EnvironmentState};

impl EnvironmentState {
    /// Fails where `permit`'s holder may not do this in all of the environment.
    pub fn admit(&self, permit: &Permit, permission: Permission) -> Result<()> {
        self.told_if_denied(permit, permission, permit.check(permission))?;
        self.told_if_look(permit, permission, None, 1)
    }

    /// Fails where they may not do this with all of a collection.
    pub fn admit_in(&self, permit: &Permit, permission: Permission, collection: &str) -> Result<()> {
        self.told_if_denied(permit, permission, permit.check_in(permission, collection))?;
        self.told_if_look(permit, permission, None, 1)
    }

    /// Fails where they may not read in a collection; whoever reads sees no more than
    /// [`EnvironmentState::narrowed`] leaves.
    pub fn admit_read(&self, permit: &Permit, permission: Permission, state: &CollectionState) -> Result<()> {
        self.admit_reads(permit, permission, state, 1)
    }

    /// As [`EnvironmentState::admit_read`], so many times at once.
    pub fn admit_reads(
        &self,
        permit: &Permit,
        permission: Permission,
        state: &CollectionState,
        times: u64,
    ) -> Result<()> {
        self.told_if_denied(permit, permission, permit.check_read(permission, &state.name))?;
        self.told_if_look(permit, permission, Some(state.id.0), times)
    }

    /// Fails where they may not write in a collection; whoever writes reaches no further than
    /// [`EnvironmentState::narrowed`] leaves.
    pub fn admit_write(&self, permit: &Permit, permission: Permission, state: &CollectionState) -> Result<()> {
        self.told_if_denied(permit, permission, permit.check_write(permission, &state.name))
    }

    /// Tells, if one of `errors` says so, that somebody would have written what is not theirs to write.
    pub fn tell_if_beyond(&self, permit: &Permit, permission: Permission, errors: &Errors) {
        if errors.iter().any(|(_, error)| error.kind() == ErrorKind::Denied) {
            self.tell_denied(permit, permission.as_str());
        }
    }

    /// Fails where they may not list what there is; they are shown what is in their scope.
    pub fn admit_list(&self, permit: &Permit) -> Result<()> {
        let permission = Permission::CollectionList;
        self.told_if_denied(permit, permission, permit.check_named(permission))?;
        self.told_if_look(permit, permission, None, 1)
    }

    /// As [`EnvironmentState::admit_read`], where vectors are asked for, too, if they are.
    pub fn admit_vectors(&self, permit: &Permit, with_vectors: bool, state: &CollectionState) -> Result<()> {
        if with_vectors { self.admit_read(permit, Permission::RecordReadVector, state) } else { Ok(()) }
    }

    /// Fails where they may not do this with all that is stored about these data subjects.
    pub fn admit_about<'a>(
        &self,
        permit: &Permit,
        permission: Permission,
        entities: impl IntoIterator<Item = &'a EntityId>,
    ) -> Result<()> {
        let checked = entities.into_iter().try_for_each(|entity| permit.check_about(permission, entity));
        self.told_if_denied(permit, permission, checked)?;
        self.told_if_look(permit, permission, None, 1)
    }

    /// What was asked for, of the records of a collection that the permit shows to whoever asks for this.
    ///
    /// # Errors
    /// `Denied` where no rule lets the end user do it.
    pub fn narrowed<'a>(
        &self,
        permit: &Permit,
        state: &CollectionState,
        asks: Asked,
        asked: Option<&'a Filter>,
    ) -> Result<Option<Cow<'a, Filter>>> {
        let ruled = permit.end_user().map(|end_user| end_user.shown(asks, &state.name, state.id)).transpose();
        let ruled = ruled.map_err(|error| {
            let error = Error::new(ErrorKind::Denied, error.to_string());
            self.tell_denied(permit, &format!("rule.{}", asks.as_str()));
            error
        })?;
        let mut shown: Vec<Filter> = permit.subjects().map(Filter::subjects).into_iter().chain(ruled).collect();
        let shown = if shown.len() > 1 { Some(Filter::all(shown)) } else { shown.pop() };
        Ok(match shown {
            None => asked.map(Cow::Borrowed),
            Some(shown) => Some(Cow::Owned(Filter::within(shown, asked))),
        })
    }

    fn told_if_denied(&self, permit: &Permit, permission: Permission, checked: Result<()>) -> Result<()> {
        checked.inspect_err(|error| {
            if error.kind() == ErrorKind::Denied {
                self.tell_denied(permit, permission.as_str());
            }
        })
    }

    fn told_if_look(
        &self,
        permit: &Permit,
        permission: Permission,
        collection: Option<[u8; 16]>,
        times: u64,
    ) -> Result<()> {
        if is_look(permission) { self.looked(permit, permission, collection, times) } else { Ok(()) }
    }

    /// Tells the first of a minute at once; whoever goes on asking for what they may not is counted, since each event waits
    /// for the disk and stays on it.
    fn tell_denied(&self, permit: &Permit, permission: &str) {
        let Ok(permission) = Name::new(permission) else { return };
        let by = permit.by();
        let (is_first, before) = self.denials.lock().count(&by, &permission, self.shared.clock.now_ms());
        let before = before.map(|before| self.counted(before));
        let denied = is_first.then(|| self.entry(permit, Act::AccessDenied { permission }, Outcome::Denied));
        self.append_denials(before.into_iter().chain(denied).collect());
    }

    /// Tells what was counted of refusals.
    pub fn tell_denials(&self) {
        let counted = self.denials.lock().take(self.shared.clock.now_ms());
        self.append_denials(counted.into_iter().map(|counted| self.counted(counted)).collect());
    }

    fn counted(&self, counted: Counted) -> Entry {
        let Counted { by: (actor, source), act } = counted;
        Entry { actor, source, ..self.entry(&Permit::engine(), act, Outcome::Denied) }
    }

    fn append_denials(&self, entries: Vec<Entry>) {
        if entries.is_empty() {
            return;
        }
        if let Err(error) = self.append(entries) {
            tracing::warn!(%error, "the audit log does not tell that requests were refused");
        }
    }
}

/// Whether a permission is for looking alone. What asks for another one tells of itself what it does.
fn is_look(permission: Permission) -> bool {
    use Permission::*;
    matches!(
        permission,
        EnvRead
            | CollectionList
            | RecordRead
            | RecordReadVector
            | SearchQuery
            | SearchSimilar
            | SearchScan
            | EntityRead
            | ConsentRead
            | RetentionRead
            | KeyRead
            | ApiKeyList
            | RoleRead
            | RuleRead
            | TokenRead
            | ApprovalRead
            | DpRead
            | MetricsRead
    )
}
