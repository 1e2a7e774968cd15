//! Places for what lasts, such as open connections: so many in all, and so many of one subscriber.
//!
//! Invariant: one count for the whole server, however many listeners and loops accept; a place comes back when it is
//! dropped, and who holds none is not remembered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::subscriber::Subscriber;

/// The places; a cheap clone that shares them.
#[derive(Clone)]
pub struct Places {
    all: Arc<Semaphore>,
    /// Of each subscriber; 0 for no limit.
    each_max: usize,
    of: Arc<Mutex<HashMap<Subscriber, usize>>>,
}

/// Room for one more, whose it may be.
pub struct Room {
    places: Places,
    permit: OwnedSemaphorePermit,
}

/// The place of what lasts.
pub struct Place {
    places: Places,
    subscriber: Subscriber,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many in all, at least one, and so many of each subscriber, 0 for as many as there are.
    pub fn new(max: usize, each_max: usize) -> Self {
        let all = Arc::new(Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)));
        Self { all, each_max, of: Arc::default() }
    }

    /// Waits until there is room; none once nobody is served any more.
    pub async fn room(&self) -> Option<Room> {
        let permit = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Room { places: self.clone(), permit })
    }

    /// A place for somebody at `address`, if there is one now.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let permit = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Room { places: self.clone(), permit }.take(address)
    }
}

impl Room {
    /// Takes the place for somebody at `address`; none if its subscriber has as many as one may.
    pub fn take(self, address: IpAddr) -> Option<Place> {
        let Self { places, permit } = self;
        let subscriber = Subscriber::from(address);
        {
            let mut of = places.of.lock();
            let taken = of.get(&subscriber).copied().unwrap_or_default();
            if places.each_max > 0 && taken >= places.each_max {
                return None;
            }
            of.insert(subscriber, taken + 1);
        }
        Some(Place { places, subscriber, _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut of = self.places.of.lock();
        if let Some(taken) = of.get_mut(&self.subscriber) {
            *taken -= 1;
            if *taken == 0 {
                of.remove(&self.subscriber);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    const MINE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// A place, whichever way one asks for it.
    async fn place(places: &Places, address: IpAddr) -> Option<Place> {
        let room = timeout(Duration::ZERO, places.room()).await;
        let waited = room.ok().flatten().and_then(|room| room.take(address));
        let is_had = waited.is_some();
        drop(waited);
        let place = places.take(address);
        assert_eq!(place.is_some(), is_had);
        place
    }

    #[tokio::test]
    async fn one_subscriber_takes_its_share_and_leaves_the_rest_to_others() {
        let places = Places::new(4, 2);
        let mine = [place(&places, MINE).await.unwrap(), place(&places, MINE).await.unwrap()];
        assert!(place(&places, MINE).await.is_none());
        let _other = place(&places, [192, 0, 2, 1].into()).await.unwrap();
        drop(mine);
        assert!(place(&places, MINE).await.is_some(), "a place comes back");
        assert_eq!(places.of.lock().len(), 1, "who has none is forgotten");
    }

    #[tokio::test]
    async fn all_together_have_no_more_than_there_are_whoever_asks_through_which_clone() {
        let (places, again) = (Places::new(2, 0), Places::new(2, 0));
        let clone = places.clone();
        let _held = [place(&places, MINE).await.unwrap(), place(&clone, MINE).await.unwrap()];
        assert!(place(&clone, [192, 0, 2, 1].into()).await.is_none());
        assert!(place(&again, MINE).await.is_some(), "another server counts for itself");
    }
}
