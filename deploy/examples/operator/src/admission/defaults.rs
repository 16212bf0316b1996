//! Defaults that depend on what else an object says, which a schema's can't.

use crate::api::v1::{Page, Website};
use kube::ResourceExt;

const INDEX: &str = "index.html";

/// The page that a website lacks: an index of the others.
pub fn index(website: &Website) -> Option<Page> {
    let pages = &website.spec.pages;
    if pages.iter().any(|page| page.name == INDEX) {
        return None;
    }
    let title = website.name_any();
    let links = pages
        .iter()
        .map(|page| format!("<li><a href=\"{0}\">{0}</a></li>\n", page.name));
    let content = format!(
        "<!doctype html>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{}</ul>\n",
        links.collect::<String>()
    );
    Some(Page {
        name: INDEX.to_owned(),
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1::WebsiteSpec;

    #[test]
    fn the_index_lists_all_pages() {
        let page = |name: &str| Page {
            name: name.to_owned(),
            content: String::new(),
        };
        let pages = vec![page("a.html"), page("b.html")];
        let spec = WebsiteSpec {
            pages,
            ..WebsiteSpec::default()
        };
        let index = index(&Website::new("shop", spec)).expect("a page");
        assert!(index.content.contains("<h1>shop</h1>"));
        let links = index.content.lines().filter(|line| line.contains("<li>"));
        assert_eq!(links.count(), 2);
        assert!(index.content.contains("<a href=\"b.html\">b.html</a>"));
    }
}
