//! The function libraries that Kubernetes 1.33 has in every stored expression
//! (`k8s.io/apiserver/pkg/cel/environment/base.go`), one file for each. What only some
//! environments have is public.

pub mod authorizer;
mod cidr;
mod costs;
mod ip;
pub mod json_patch;
mod lists;
mod named_formats;
mod quantity;
mod quote;
mod regex;
mod semver;
mod sets;
mod string_format;
mod strings;
mod urls;

pub(crate) use quote::quoted;
pub(crate) use string_format::check as check_format;

use crate::cost::{CostRange, SizeRange};
use crate::{Overload, Type};

/// The functions of all libraries that Kubernetes 1.32 has, too.
pub(crate) fn overloads() -> Vec<Overload> {
    [
        authorizer::overloads(),
        cidr::overloads(),
        ip::overloads(),
        lists::overloads(),
        named_formats::overloads(),
        quantity::overloads(),
        regex::overloads(),
        sets::overloads(),
        strings::overloads(),
        urls::overloads(),
    ]
    .concat()
}

/// The functions of those that are new in Kubernetes 1.33.
pub(crate) fn newest() -> Vec<Overload> {
    semver::overloads()
}

/// The types that expressions can name.
pub(crate) fn types() -> Vec<Type> {
    vec![cidr::TYPE, ip::TYPE]
}

/// What `==` of two values of a library's type may cost, by the size of the second.
pub(crate) fn estimate_equals(kind: &Type, size: SizeRange) -> CostRange {
    let most = match kind {
        _ if *kind == named_formats::TYPE => named_formats::LONGEST_NAME,
        _ if *kind == urls::TYPE => size.max,
        _ => return CostRange::fixed(1),
    };
    CostRange::new(1, most).scaled(costs::TRAVERSAL)
}
