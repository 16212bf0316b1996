//! The kind `Website`, in each of its versions, and its definition.

pub mod v1;
pub mod v1alpha1;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, ServiceReference, WebhookClientConfig,
    WebhookConversion,
};
use kube::CustomResourceExt;
use kube::core::crd::{MergeError, merge_crds};

/// The API group.
pub const GROUP: &str = "hardway.example";
/// The operator's own name, and that of its namespace, Service and webhooks.
pub const OPERATOR: &str = "website-operator";
/// Websites with this annotation can't be deleted while its value is `true`.
pub const PROTECTED: &str = "hardway.example/protected";

/// The definition to apply. Whose certificate to believe (`caBundle`) is left to the operator.
///
/// # Errors
/// If the versions don't fit together.
pub fn definition() -> Result<CustomResourceDefinition, MergeError> {
    let mut definition = merge_crds(vec![v1::Website::crd(), v1alpha1::Website::crd()], "v1")?;
    definition.spec.conversion = Some(CustomResourceConversion {
        strategy: "Webhook".to_owned(),
        webhook: Some(WebhookConversion {
            conversion_review_versions: vec!["v1".to_owned()],
            client_config: Some(WebhookClientConfig {
                service: Some(ServiceReference {
                    namespace: OPERATOR.to_owned(),
                    name: OPERATOR.to_owned(),
                    path: Some("/convert".to_owned()),
                    port: Some(443),
                }),
                ..WebhookClientConfig::default()
            }),
        }),
    });
    Ok(definition)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is applied is what the types say.
    #[test]
    fn the_manifest_is_that_of_the_types() {
        let file = include_str!("../../manifests/definition.yml");
        let applied: serde_json::Value = serde_yaml::from_str(file).unwrap();
        let ours = serde_json::to_value(definition().unwrap()).unwrap();
        assert_eq!(applied, ours, "write it anew: cargo run -- definition");
    }
}
