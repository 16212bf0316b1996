//! What is refused, and what is warned of.

use crate::api::PROTECTED;
use crate::api::v1::Website;
use kube::ResourceExt;

/// A website's pages go into one ConfigMap, whose values may have 1 MiB together.
const MOST_BYTES: usize = 1024 * 1024;

/// What is to be known of a website when another one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    namespace: String,
    name: String,
    node_port: Option<i32>,
}

impl From<&Website> for Other {
    fn from(website: &Website) -> Self {
        Self {
            namespace: website.namespace().unwrap_or_default(),
            name: website.name_any(),
            node_port: website.spec.service.node_port,
        }
    }
}

/// Why a website may not be what it is to be.
pub fn change(new: &Website, others: &[Other]) -> Option<String> {
    // Whoever takes a finalizer off must not be held up by anything.
    if new.metadata.deletion_timestamp.is_some() {
        return None;
    }
    // Pages of v1alpha1 are a map, whose keys have no pattern.
    if let Some(page) = new.spec.pages.iter().find(|page| !is_file_name(&page.name)) {
        return Some(format!("spec.pages: {:?} is no file's name", page.name));
    }
    let size: usize = new.spec.pages.iter().map(|page| page.content.len()).sum();
    if size > MOST_BYTES {
        return Some(format!(
            "spec.pages have {size} bytes together: they must have at most {MOST_BYTES}"
        ));
    }
    let this = Other::from(new);
    let port = this.node_port?;
    let has_it = |other: &&Other| {
        (&other.namespace, &other.name) != (&this.namespace, &this.name)
            && other.node_port == Some(port)
    };
    let owner = others.iter().find(has_it)?;
    Some(format!(
        "spec.service.nodePort {port} is that of Website {}/{}",
        owner.namespace, owner.name
    ))
}

/// Whether a ConfigMap takes it for a key.
fn is_file_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (1..=253).contains(&name.len())
        && name.chars().all(is_fine)
        && name != "."
        && !name.starts_with("..")
}

/// Why a website may not be deleted.
pub fn deletion(old: &Website) -> Option<String> {
    let is_protected = old.annotations().get(PROTECTED).map(String::as_str) == Some("true");
    is_protected.then(|| {
        let Other {
            namespace, name, ..
        } = Other::from(old);
        format!("Website {namespace}/{name} is protected: remove the annotation {PROTECTED}")
    })
}

/// What whoever writes it should know.
pub fn warnings(new: &Website, old: Option<&Website>) -> Vec<String> {
    let replicas = new.spec.replicas;
    let is_new = old.is_none_or(|old| old.spec.replicas != replicas);
    let warning = "spec.replicas is 1: the website is away whenever its only server is";
    let warned = (is_new && replicas == 1).then(|| warning.to_owned());
    warned.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::{Page, WebsiteSpec};

    fn website(name: &str, node_port: Option<i32>) -> Website {
        let mut website = Website::new(name, WebsiteSpec::default());
        website.metadata.namespace = Some("default".to_owned());
        website.spec.service.node_port = node_port;
        website
    }

    #[test]
    fn a_port_on_the_nodes_belongs_to_one_website() {
        let others = [Other::from(&website("shop", Some(30080)))];
        let refusal = change(&website("blog", Some(30080)), &others);
        let words = "spec.service.nodePort 30080 is that of Website default/shop";
        assert_eq!(refusal.as_deref(), Some(words));
        for fine in [
            website("shop", Some(30080)),
            website("blog", Some(30081)),
            website("blog", None),
        ] {
            assert_eq!(change(&fine, &others), None);
        }
    }

    #[test]
    fn pages_fit_into_a_config_map() {
        let mut website = website("shop", None);
        let page = |bytes| Page {
            name: "a".to_owned(),
            content: "x".repeat(bytes),
        };
        website.spec.pages = vec![page(MOST_BYTES - 1), page(1)];
        assert_eq!(change(&website, &[]), None);
        website.spec.pages.push(page(1));
        assert!(change(&website, &[]).is_some_and(|why| why.contains("1048577 bytes")));
    }

    #[test]
    fn pages_have_names_of_files() {
        let named = |name: &str| {
            let mut website = website("shop", None);
            website.spec.pages = vec![Page {
                name: name.to_owned(),
                content: String::new(),
            }];
            change(&website, &[])
        };
        assert_eq!(named("index.html"), None);
        assert_eq!(named(".hidden"), None);
        for name in ["", ".", "..a", "a b", "a/b"] {
            assert!(named(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn what_is_being_deleted_is_let_go() {
        let mut website = website("blog", Some(30080));
        let others = [Other::from(&self::website("shop", Some(30080)))];
        assert!(change(&website, &others).is_some());
        website.metadata.deletion_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH),
        );
        assert_eq!(change(&website, &others), None);
    }

    #[test]
    fn a_change_to_one_server_is_warned_of_once() {
        let scaled = |replicas| {
            let mut website = website("shop", None);
            website.spec.replicas = replicas;
            website
        };
        assert_eq!(warnings(&scaled(1), Some(&scaled(2))).len(), 1);
        assert!(warnings(&scaled(1), Some(&scaled(1))).is_empty());
        assert!(warnings(&scaled(3), None).is_empty());
    }
}
