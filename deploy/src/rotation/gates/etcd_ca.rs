//! Which members of etcd believe its CA, and which still show a certificate of its former one.

use std::time::SystemTime;

use super::{Gates, Looked};
use crate::pki;
use crate::rotation::material::Material;
use crate::rotation::missing::missing;
use crate::rotation::observe::Cluster;
use crate::rotation::steps::Id;

impl Gates<'_> {
    pub(super) fn etcd_believes(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        next: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, next, now)?;
        Ok(self.ask_each("believes", self.members(cluster), &caller, |seen| {
            (!seen.accepted).then(|| {
                missing("", "doesn't believe the CA that is to sign", "on that host: hardway certificates rotate-ca --resume --certificate-key KEY")
            })
        }))
    }

    pub(super) fn etcd_shows(
        &mut self,
        cluster: &Cluster,
        material: &Material<'_>,
        signs: &Id,
        now: SystemTime,
    ) -> Looked {
        let caller = self.caller(material, signs, now)?;
        let ca = pki::der_of(&material.public_of(signs)?)?;
        Ok(
            self.ask_each("shows", self.members(cluster), &caller, |seen| {
                (!pki::is_issued_by(&seen.shown, &ca)).then(|| {
                    missing(
                        "",
                        "shows a certificate of the former CA",
                        "on that host: hardway certificates rotate-ca --resume",
                    )
                })
            }),
        )
    }
}
