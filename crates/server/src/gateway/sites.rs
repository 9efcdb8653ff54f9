//! How many clients of one address are let in, where an operator limits that.

use crate::peer::Site;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The clients of each address.
pub(super) struct Sites {
    /// 0: no limit, and nothing is counted.
    most: usize,
    clients: Mutex<HashMap<Site, usize>>,
}

/// One of them, until it is dropped.
pub(super) struct Client {
    sites: Arc<Sites>,
    site: Site,
}

impl Sites {
    pub(super) fn new(most: usize) -> Sites {
        Sites { most, clients: Mutex::default() }
    }

    /// `Err`: that address has as many as it may.
    pub(super) fn enter(self: &Arc<Self>, site: Site) -> Result<Option<Client>, usize> {
        if self.most == 0 {
            return Ok(None);
        }
        let mut clients = self.lock();
        let theirs = clients.entry(site).or_default();
        if *theirs >= self.most {
            return Err(self.most);
        }
        *theirs += 1;
        Ok(Some(Client { sites: Arc::clone(self), site }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Site, usize>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut clients = self.sites.lock();
        let left = clients.get(&self.site).map_or(0, |theirs| theirs - 1);
        match left {
            0 => clients.remove(&self.site),
            left => clients.insert(self.site, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    #[test]
    fn an_address_has_so_many_clients_and_others_have_theirs() {
        let site = |n: u8| Peer([192, 0, 2, n].into()).site();
        let sites = Arc::new(Sites::new(2));
        let mut inside = vec![sites.enter(site(1)).unwrap(), sites.enter(site(1)).unwrap()];
        assert_eq!(sites.enter(site(1)).err(), Some(2));
        inside.push(sites.enter(site(2)).unwrap());
        drop(inside.remove(0));
        assert!(sites.enter(site(1)).is_ok());
        drop(inside);
        assert!(sites.lock().is_empty());
        let open = Arc::new(Sites::new(0));
        assert!(open.enter(site(1)).unwrap().is_none());
    }
}
