//! The kernel's table as it should be: changes go there in one transaction
//! each; what was refused is owed until it is done; and what others have done
//! to the table is noticed and undone.

use crate::conntrack::{self, Conntrack, Stale};
use crate::desired::{Change, Desired};
use crate::netlink::batch::Batch;
use crate::nft::{Error, Nft};
use crate::ruleset::Layout;
use crate::shape::Shape;
use std::collections::BTreeSet;

/// Elements up to which a check looks at them all; beyond, chains and rules
/// alone are compared, lest checking costs more than it is worth.
const COUNTED: usize = 5_000;

/// Brings the table to where it should be and keeps it there.
pub struct Table<N, C> {
    layout: Layout,
    nft: N,
    conntrack: C,
    /// The next transaction has to say it all.
    rebuild: bool,
    /// The kernel's generation of rules with which the table was as it should
    /// be: while it is the last, nobody has changed any rules.
    known: Option<u32>,
    /// Connections that are to be forgotten once the table no longer leads
    /// where they do.
    owed: BTreeSet<Stale>,
}

impl<N: Nft, C: Conntrack> Table<N, C> {
    /// Nothing is known of the table; the first transaction says it all.
    pub fn new(layout: Layout, nft: N, conntrack: C) -> Self {
        Self {
            layout,
            nft,
            conntrack,
            rebuild: true,
            known: None,
            owed: BTreeSet::new(),
        }
    }

    /// Whether there is something to do although nothing has changed.
    pub fn is_behind(&self) -> bool {
        self.rebuild
    }

    /// Applies a change, or all there is after a refusal. Connections are
    /// forgotten only when the kernel has taken it: earlier they would be made
    /// anew, to where they went before.
    pub async fn apply(&mut self, change: &Change, desired: &Desired) -> Result<(), Error> {
        self.owed.extend(conntrack::stale(change.gone.iter()));
        if self.rebuild || !change.is_empty() {
            self.transact(change, desired).await?;
        }
        self.settle().await;
        Ok(())
    }

    async fn transact(&mut self, change: &Change, desired: &Desired) -> Result<(), Error> {
        let before = self.nft.generation().ok();
        // Refused, or not known to have been taken: all is said again.
        let rebuild = std::mem::replace(&mut self.rebuild, true);
        let was_known = self.known.take();
        if rebuild {
            self.nft.load(&desired.rebuild(&self.layout)).await?;
        } else if let Some(batch) = Batch::of(change) {
            self.nft.send(batch).await?;
        } else {
            self.nft.load(&change.commands()).await?;
        }
        self.rebuild = false;
        if let Some(before) = before
            && (rebuild || was_known == Some(before))
        {
            // With one more, it was this transaction alone.
            let after = self.nft.generation().ok();
            self.known = after.filter(|after| *after == following(before));
        }
        Ok(())
    }

    /// Forgets the connections that are owed; those it can't stay owed.
    async fn settle(&mut self) {
        for stale in std::mem::take(&mut self.owed) {
            if let Err(error) = self.conntrack.forget(&stale).await {
                tracing::warn!(?stale, error, "stale connections stay for now");
                self.owed.insert(stale);
            }
        }
    }

    /// Looks whether the table is still as it was made; if not, it is to be
    /// made anew, and what went astray meanwhile is owed. Also tries again what
    /// could not be settled.
    pub async fn check(&mut self, desired: &Desired) -> Result<(), Error> {
        if self.rebuild {
            return Ok(());
        }
        let generation = self.nft.generation()?;
        if self.known == Some(generation) {
            self.settle().await;
            return Ok(());
        }
        let counted = desired.size() <= COUNTED;
        let wanted = Shape::of_commands(&match counted {
            true => desired.rebuild(&self.layout),
            false => desired.frame(&self.layout),
        });
        let found = self.nft.shape(counted).await?;
        if let Some(deviation) = found.deviation(&wanted) {
            tracing::warn!(deviation, "somebody changed the table; it is made anew");
            self.rebuild = true;
            self.owed.extend(conntrack::all(desired.elements()));
            return Ok(());
        }
        self.known = Some(generation);
        self.settle().await;
        Ok(())
    }
}

/// The generation after another; none is 0.
fn following(generation: u32) -> u32 {
    generation.wrapping_add(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::{Elements, Set};
    use hardway_proto::meta::ObjectKey;
    use parking_lot::Mutex;
    use std::sync::Arc;

    /// A kernel that refuses when told, and notes what it took.
    #[derive(Clone, Default)]
    struct Kernel(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        refuses: bool,
        taken: Vec<String>,
        batches: Vec<Batch>,
        generation: u32,
        shape: Shape,
        looked_at: usize,
        keeps: bool,
        forgotten: Vec<Stale>,
    }

    impl Nft for Kernel {
        async fn load(&self, commands: &str) -> Result<(), Error> {
            let mut state = self.0.lock();
            if state.refuses {
                return Err(Error::Refused("busy".into()));
            }
            state.generation += 1;
            state.taken.push(commands.to_owned());
            if commands.contains("delete table") {
                state.shape = Shape::of_commands(commands);
            }
            Ok(())
        }

        async fn send(&self, batch: Batch) -> Result<(), Error> {
            let mut state = self.0.lock();
            if state.refuses {
                return Err(Error::Change("busy".into()));
            }
            state.generation += 1;
            state.batches.push(batch);
            Ok(())
        }

        async fn shape(&self, _: bool) -> Result<Shape, Error> {
            let mut state = self.0.lock();
            state.looked_at += 1;
            Ok(state.shape.clone())
        }

        fn generation(&self) -> Result<u32, Error> {
            Ok(self.0.lock().generation)
        }
    }

    impl Conntrack for Kernel {
        async fn forget(&self, stale: &Stale) -> Result<(), String> {
            let mut state = self.0.lock();
            if state.keeps {
                return Err("no".into());
            }
            state.forgotten.push(stale.clone());
            Ok(())
        }
    }

    fn elements(list: &[(Set, &str, &str)]) -> Elements {
        let entries = list
            .iter()
            .map(|(set, key, data)| ((*set, (*key).to_owned()), (*data).to_owned()));
        Elements {
            entries: entries.collect(),
            pickers: vec![],
        }
    }

    fn setup() -> (Kernel, Table<Kernel, Kernel>, Desired) {
        let kernel = Kernel::default();
        let layout = Layout {
            cluster_cidr: "10.244.0.0/16".parse().unwrap(),
        };
        let table = Table::new(layout, kernel.clone(), kernel.clone());
        let mut desired = Desired::default();
        let dns = [
            (Set::Services, "10.96.0.10 . udp . 53", "goto pick-1"),
            (
                Set::Endpoints,
                "10.96.0.10 . udp . 53 . 0x0",
                "10.244.0.2 . 53",
            ),
        ];
        desired.replace(
            &ObjectKey::new("d", "dns"),
            elements(&dns),
            &mut Change::default(),
        );
        (kernel, table, desired)
    }

    #[tokio::test]
    async fn what_was_refused_is_owed_until_it_is_taken() {
        let (kernel, mut table, mut desired) = setup();
        table.apply(&Change::default(), &desired).await.unwrap();
        assert_eq!(kernel.0.lock().taken.len(), 1);
        let mut change = Change::default();
        desired.replace(
            &ObjectKey::new("d", "dns"),
            Elements::default(),
            &mut change,
        );
        kernel.0.lock().refuses = true;
        assert!(table.apply(&change, &desired).await.is_err());
        assert!(
            kernel.0.lock().forgotten.is_empty(),
            "the table still leads there"
        );
        assert!(table.is_behind());
        kernel.0.lock().refuses = false;
        // By now nothing has changed any more, and the kernel doesn't forget.
        kernel.0.lock().keeps = true;
        table.apply(&Change::default(), &desired).await.unwrap();
        assert!(!kernel.0.lock().taken[1].contains("10.96.0.10"));
        kernel.0.lock().keeps = false;
        table.check(&desired).await.unwrap();
        let forgotten = kernel.0.lock().forgotten.clone();
        assert_eq!(forgotten.len(), 1);
        assert_eq!(forgotten[0].endpoint.as_deref(), Some("10.244.0.2"));
    }

    #[tokio::test]
    async fn what_others_did_to_the_table_is_undone() {
        let (kernel, mut table, desired) = setup();
        table.apply(&Change::default(), &desired).await.unwrap();
        table.check(&desired).await.unwrap();
        assert!(!table.is_behind(), "nobody did anything");
        assert_eq!(kernel.0.lock().looked_at, 0);
        {
            let mut state = kernel.0.lock();
            state.shape = Shape::default();
            state.generation += 1;
        }
        table.check(&desired).await.unwrap();
        assert!(table.is_behind());
        table.apply(&Change::default(), &desired).await.unwrap();
        let state = kernel.0.lock();
        assert_eq!(state.taken[0], state.taken[1]);
        // Clients that sent meanwhile are led to an endpoint again.
        let stale = &state.forgotten[0];
        assert_eq!(
            (stale.address.as_deref(), &stale.endpoint),
            (Some("10.96.0.10"), &None)
        );
    }

    #[tokio::test]
    async fn small_changes_go_over_netlink_and_what_it_has_no_form_for_through_nft() {
        let (kernel, mut table, mut desired) = setup();
        table.apply(&Change::default(), &desired).await.unwrap();
        let mut change = Change::default();
        let web = [(Set::Services, "10.96.0.11 . tcp . 80", "goto pick-1")];
        desired.replace(&ObjectKey::new("d", "web"), elements(&web), &mut change);
        table.apply(&change, &desired).await.unwrap();
        assert_eq!(kernel.0.lock().batches, [Batch::of(&change).unwrap()]);
        let mut change = Change::default();
        let odd = [(Set::Services, "fd00::1 . tcp . 80", "goto pick-1")];
        desired.replace(&ObjectKey::new("d", "odd"), elements(&odd), &mut change);
        table.apply(&change, &desired).await.unwrap();
        assert_eq!(kernel.0.lock().taken[1], change.commands());
        table.check(&desired).await.unwrap();
        assert_eq!(kernel.0.lock().looked_at, 0, "all of it was ours");
    }

    #[tokio::test]
    async fn after_a_refused_change_the_table_is_made_anew() {
        let (kernel, mut table, mut desired) = setup();
        table.apply(&Change::default(), &desired).await.unwrap();
        let mut change = Change::default();
        let web = [(Set::Services, "10.96.0.11 . tcp . 80", "goto pick-1")];
        desired.replace(&ObjectKey::new("d", "web"), elements(&web), &mut change);
        kernel.0.lock().refuses = true;
        assert!(table.apply(&change, &desired).await.is_err());
        kernel.0.lock().refuses = false;
        table.apply(&Change::default(), &desired).await.unwrap();
        let state = kernel.0.lock();
        assert!(state.batches.is_empty());
        assert!(state.taken[1].starts_with("add table"));
        assert!(state.taken[1].contains("10.96.0.11 . tcp . 80 : goto pick-1"));
    }

    #[tokio::test]
    async fn what_others_do_between_is_looked_at_once() {
        let (kernel, mut table, mut desired) = setup();
        table.apply(&Change::default(), &desired).await.unwrap();
        // Another table's rules were loaded, and then one of ours changed.
        kernel.0.lock().generation += 1;
        let mut change = Change::default();
        let web = [(Set::NoEndpoints, "10.96.0.11 . tcp . 80", "drop")];
        desired.replace(&ObjectKey::new("d", "web"), elements(&web), &mut change);
        table.apply(&change, &desired).await.unwrap();
        kernel.0.lock().shape = Shape::of_commands(&desired.rebuild(&table.layout));
        table.check(&desired).await.unwrap();
        table.check(&desired).await.unwrap();
        assert_eq!(kernel.0.lock().looked_at, 1);
    }
}
